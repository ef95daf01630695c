"""Reports that wait for the service to come back, on disk, in order."""

import contextlib
import os
import struct
from collections import deque
from pathlib import Path
from typing import BinaryIO

_LIMIT = 64 * 2**20


class Spool:
    """A queue of byte strings: the oldest in memory, others in a file, made when it is needed. No path: no others.

    Call `close` when no more is wanted of it.
    """

    def __init__(self, path: Path | None, limit: int = _LIMIT) -> None:
        self._path = path
        self._file: BinaryIO | None = None  # stays open: a training may tidy up its temporary folder
        self._limit = limit
        self._read_at = 0
        self._write_at = 0
        self._head: bytes | None = None
        self._last: deque[bytes] = deque()  # after those in the file

    def __bool__(self) -> bool:
        return self._head is not None

    def append(self, item: bytes, *, last: bool = False) -> bool:
        """True when `item` is stored; False when the disk or the limit does not allow it.

        The `last` items are kept in any case, in memory at worst; after one of them, all are last.
        """
        if self._head is None:
            self._head = item
            return True
        if self._last or not self._write(item):
            if last:
                self._last.append(item)
            return last
        return True

    def _write(self, item: bytes) -> bool:
        if self._path is None or self._write_at - self._read_at + len(item) > self._limit:
            return False
        try:
            if self._file is None:
                self._file = self._path.open("w+b", buffering=0)
            data = struct.pack("!I", len(item)) + item
            if os.pwrite(self._file.fileno(), data, self._write_at) < len(data):
                return False  # the disk is full
        except OSError:
            return False
        self._write_at += 4 + len(item)
        return True

    def head(self) -> bytes:
        """The oldest item. There is one."""
        assert self._head is not None
        return self._head

    def pop(self) -> None:
        """Drop the oldest item."""
        self._head = None
        if self._file is not None and self._read_at < self._write_at:
            size = struct.unpack("!I", os.pread(self._file.fileno(), 4, self._read_at))[0]
            self._head = os.pread(self._file.fileno(), size, self._read_at + 4)
            self._read_at += 4 + size
            if self._read_at == self._write_at:
                self.close()
        elif self._last:
            self._head = self._last.popleft()

    def close(self) -> None:
        """Give up the file, and what is in it."""
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                Path(self._file.name).unlink()
        self._file = None
        self._read_at = self._write_at = 0
