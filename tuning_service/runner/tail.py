"""Bytes of a file as it grows: truncated, replaced, rotated or late as it may be."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

_MARK_BYTES = 64
_MOST_OLD = 16  # files that were moved away, kept open


class Piece(NamedTuple):
    """What is new in a file. `fresh`: it begins anew, and does not continue what came before."""

    data: bytes
    fresh: bool


_NOTHING = Piece(b"", fresh=False)


def open_regular(path: Path) -> int | None:
    """A descriptor for reading the file at `path`, or None: there is none, it may not be read, or is no regular file.

    A FIFO would have to be waited for, and reading it would take away what others are to get; /dev/zero has no end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device may do something
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)  # it was replaced in between
    return None


class Tail:
    """Follows the file at `path`, from its beginning or, when it is `old`, from its present end.

    A file that was moved away or deleted is read to its end before the one in its place. Raises nothing: a file that
    cannot be read has nothing new.
    """

    def __init__(self, path: Path, *, old: bool = False) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._former: list[tuple[tuple[int, int], int]] = []
        self._offset = 0
        self._mark = b""  # what stands before the offset, by which a rewritten file is recognised
        self._looked: tuple[int, int] | None = None  # size and time of modification when all had been read
        self._fresh = False
        if old:
            self._open()
            self._skip()

    @property
    def identities(self) -> frozenset[tuple[int, int]]:
        """Device and inode of all files read here: under another name, they are known already."""
        known = {identity for identity, _ in self._former}
        return frozenset(known | {self._identity} if self._identity else known)

    def read(self, most: int) -> Piece:
        """The next bytes, `most` at most; empty when there are none now."""
        try:
            return self._read(most)
        except OSError:
            return _NOTHING

    def _read(self, most: int) -> Piece:
        there = self._there()
        if self._descriptor is not None and there != self._identity:
            data = self._more(most)
            if data or there is None:
                return self._piece(data)
            self._leave()
        if self._descriptor is None and not self._open():
            return _NOTHING
        return self._piece(self._news(most))

    def _news(self, most: int) -> bytes:
        assert self._descriptor is not None
        status = os.fstat(self._descriptor)
        now = (status.st_size, status.st_mtime_ns)
        if now == self._looked:
            return b""
        if status.st_size < self._offset or not self._continues():
            self._offset, self._mark, self._fresh = 0, b"", True
        data = self._more(most)
        self._looked = now if self._offset >= status.st_size else None
        return data

    def _piece(self, data: bytes) -> Piece:
        if not data:
            return _NOTHING
        fresh, self._fresh = self._fresh, False
        return Piece(data, fresh)

    def _more(self, most: int) -> bytes:
        assert self._descriptor is not None
        data = os.pread(self._descriptor, most, self._offset)
        self._offset += len(data)
        self._mark = (self._mark + data[-_MARK_BYTES:])[-_MARK_BYTES:]
        return data

    def _continues(self) -> bool:
        assert self._descriptor is not None
        return os.pread(self._descriptor, len(self._mark), self._offset - len(self._mark)) == self._mark

    def _there(self) -> tuple[int, int] | None:
        """What is at the path now."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino)

    def _open(self) -> bool:
        descriptor = open_regular(self._path)
        if descriptor is None:
            return False
        status = os.fstat(descriptor)
        self._descriptor, self._identity = descriptor, (status.st_dev, status.st_ino)
        return True

    def _skip(self) -> None:
        if self._descriptor is None:
            return
        status = os.fstat(self._descriptor)
        self._offset = status.st_size
        self._mark = os.pread(self._descriptor, min(_MARK_BYTES, self._offset), max(0, self._offset - _MARK_BYTES))
        self._looked = (status.st_size, status.st_mtime_ns)

    def _leave(self) -> None:
        """The file at the path is another one. This one stays open, so that nobody gets its inode number."""
        assert self._descriptor is not None
        assert self._identity is not None
        self._former.append((self._identity, self._descriptor))
        if len(self._former) > _MOST_OLD:
            os.close(self._former.pop(0)[1])
        self._descriptor, self._identity, self._looked = None, None, None
        self._offset, self._mark, self._fresh = 0, b"", True

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in [*(former for _, former in self._former), self._descriptor]:
            if descriptor is not None:
                os.close(descriptor)
        self._former, self._descriptor = [], None
