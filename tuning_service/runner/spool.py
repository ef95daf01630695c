"""Reports that wait for the service to come back, on disk, in order."""

import contextlib
import struct
from collections import deque
from pathlib import Path

_LIMIT = 64 * 2**20


class Spool:
    """A queue of byte strings: the oldest in memory, others in a file, made when it is needed. No path: no others."""

    def __init__(self, path: Path | None, limit: int = _LIMIT) -> None:
        self._path = path
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
            with self._path.open("r+b" if self._path.exists() else "w+b") as stream:
                stream.seek(self._write_at)
                stream.write(struct.pack("!I", len(item)) + item)
                stream.flush()
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
        if self._path is not None and self._read_at < self._write_at:
            with self._path.open("rb") as stream:
                stream.seek(self._read_at)
                size = struct.unpack("!I", stream.read(4))[0]
                self._head = stream.read(size)
            self._read_at += 4 + size
            if self._read_at == self._write_at:
                self._read_at = self._write_at = 0
                with contextlib.suppress(OSError):
                    self._path.unlink()
        elif self._last:
            self._head = self._last.popleft()
