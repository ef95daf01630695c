"""Archives of strangers, entry by entry: tar, tar.gz and zip behind one iterator that believes no header."""

import contextlib
import gzip
import io
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

_CHUNK = 256 * 1024
# The longest single read: file contents come in chunks, so only a header can ask for more, and no honest one does.
_LONGEST_READ = 2 * 2**20
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class BadBundle(ValueError):
    """The program's archive cannot be accepted. The message is for the one who packed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLimits:
    """What one bundle may unpack to."""

    total_bytes: int = 512 * 2**20
    files: int = 10_000  # entries of any kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, its `name` a clean relative POSIX path. `chunks` yields a file's content, once, before the next."""

    name: str
    kind: Literal["file", "folder", "symlink", "hardlink"]
    chunks: Callable[[], Iterator[bytes]]
    target: str = ""  # of a symbolic link as written, of a hard link a clean path
    executable: bool = False


def entries(data: bytes, limits: BundleLimits) -> Iterator[Entry]:
    """The entries in their order. Raises BadBundle as soon as something is wrong."""
    read = _zip_entries if data[:4] in {b"PK\x03\x04", b"PK\x05\x06"} else _tar_entries
    with _translated():
        for number, entry in enumerate(read(data, limits)):
            _require(number < limits.files, f"the archive holds more than {limits.files} entries")
            yield entry


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise BadBundle(message)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What the libraries raise at damaged archives, as BadBundle."""
    try:
        yield
    except BadBundle:
        raise
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        gzip.BadGzipFile,
        EOFError,
        NotImplementedError,
        ValueError,
        LookupError,
        OverflowError,
        RecursionError,
        struct.error,
    ) as error:
        raise BadBundle(f"this is no readable tar, tar.gz or zip archive ({error})") from error


def _clean(name: str, what: str = "the archive's entry") -> str:
    """`name` as a relative POSIX path without `.`; "" for the folder itself."""
    shown = repr(name if len(name) <= 200 else name[:200] + "…")
    if name.startswith("/") or _DRIVE.match(name):
        raise BadBundle(f"{what} {shown} has an absolute path")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or any("\\" in part and ".." in part.split("\\") for part in parts):
        raise BadBundle(f"{what} {shown} leads out of the program's folder")
    try:
        too_long = any(len(part.encode()) > 255 for part in parts) or len(name.encode()) > 2000
    except UnicodeEncodeError:
        raise BadBundle(f"{what} {shown} is not named in UTF-8") from None
    if too_long:
        raise BadBundle(f"{what} {shown} has a name that is too long")
    if any(ord(character) < 32 for character in name):
        raise BadBundle(f"{what} {shown} has a control character in its name")
    return "/".join(parts)


class _Meter(io.RawIOBase):
    """A decompressed stream that goes forward only, and refuses to yield more than it may."""

    def __init__(self, stream: gzip.GzipFile | io.BytesIO, allowed: int) -> None:
        super().__init__()
        self._stream = stream
        self._position = 0
        self._allowed = allowed
        self._last = b""
        self._again = b""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_READ:
            raise BadBundle("the archive has a header of several megabytes")
        data = self._again[:size]
        self._again = self._again[len(data) :]
        while len(data) < size:
            part = self._stream.read(size - len(data))
            if not part:
                break
            data += part
        self._position += len(data)
        self._last = data[-1:] or self._last
        if self._position > self._allowed:
            raise BadBundle("the archive unpacks to more than is allowed")
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        # tarfile looks at the last byte before the next header again, to see whether the archive was cut.
        if whence == io.SEEK_SET and position == self._position - 1 and self._last:
            self._again = self._last + self._again
            self._position -= 1
        elif whence != io.SEEK_SET or position < self._position:
            raise BadBundle("the archive's headers point backwards")
        while self._position < position:
            if not self.read(min(position - self._position, _CHUNK)):
                break
        return self._position


def _tar_entries(data: bytes, limits: BundleLimits) -> Iterator[Entry]:
    plain = io.BytesIO(data)
    raw = gzip.GzipFile(fileobj=plain) if data[:2] == b"\x1f\x8b" else plain
    # Beside the contents: a header and padding for each entry, extended headers for long names, and the end.
    meter = _Meter(raw, limits.total_bytes + limits.files * 4096 + 2**20)
    total = 0
    with tarfile.open(fileobj=meter, mode="r:") as archive:
        while (member := archive.next()) is not None:
            total += member.size
            if total > limits.total_bytes:
                raise BadBundle(f"the archive unpacks to more than {limits.total_bytes} bytes")
            entry = _from_member(archive, member)
            if entry is not None:
                yield entry


def _from_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry | None:
    name = _clean(member.name)
    if member.isdir():
        return Entry(name=name, kind="folder", chunks=lambda: iter(())) if name else None
    if not name:
        raise BadBundle("the archive has an entry without a name")
    if member.issym():
        return Entry(name=name, kind="symlink", chunks=lambda: iter(()), target=member.linkname)
    if member.islnk():
        target = _clean(member.linkname, "the target of a hard link,")
        return Entry(name=name, kind="hardlink", chunks=lambda: iter(()), target=target)
    if not member.isreg() or member.issparse():
        raise BadBundle(f"{name} is no ordinary file: devices, pipes and sparse files are refused")

    def chunks() -> Iterator[bytes]:
        stream = archive.extractfile(member)
        assert stream is not None
        with stream, _translated():
            while chunk := stream.read(_CHUNK):
                yield chunk

    return Entry(name=name, kind="file", chunks=chunks, executable=bool(member.mode & 0o100))


def _zip_entries(data: bytes, limits: BundleLimits) -> Iterator[Entry]:
    left = [limits.total_bytes]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            entry = _from_info(archive, info, left)
            if entry is not None:
                yield entry


def _from_info(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: list[int]) -> Entry | None:
    name = _clean(info.filename)
    if info.flag_bits & 1:
        raise BadBundle(f"{name} is encrypted: pack without a password")
    mode = info.external_attr >> 16

    def chunks() -> Iterator[bytes]:
        with _translated(), archive.open(info) as stream:
            while chunk := stream.read(_CHUNK):
                left[0] -= len(chunk)
                if left[0] < 0:
                    raise BadBundle("the archive unpacks to more than is allowed")
                yield chunk

    if info.is_dir():
        return Entry(name=name, kind="folder", chunks=lambda: iter(())) if name else None
    if not name:
        raise BadBundle("the archive has an entry without a name")
    if stat.S_ISLNK(mode):
        if info.file_size > 4096:
            raise BadBundle(f"{name} is a link with a target that is too long")
        target = b"".join(chunks()).decode()
        return Entry(name=name, kind="symlink", chunks=lambda: iter(()), target=target)
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise BadBundle(f"{name} is no ordinary file: devices and pipes are refused")
    return Entry(name=name, kind="file", chunks=chunks, executable=bool(mode & 0o100))
