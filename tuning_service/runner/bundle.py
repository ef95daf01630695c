"""Program bundles: a folder as bytes, named by their digest, and the unpacking of what a stranger sent.

An archive is read twice as far as trust goes: every entry is checked for where it would land, and sizes are counted
on the bytes that come out, whatever its headers claim.
"""

import fnmatch
import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tuning_service.runner.archive import BadBundle, BundleLimits, Entry, entries

__all__ = ["BadBundle", "BundleLimits", "BundleSummary", "digest", "inspect", "list_files", "pack", "unpack"]

IGNORED = (".git", "__pycache__", ".venv", "*.pyc")
IGNORE_FILE = ".tuningignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSummary:
    """What a valid bundle holds: relative POSIX paths, sorted, and their size when unpacked."""

    files: tuple[str, ...]
    bytes: int


def digest(data: bytes) -> str:
    """The name of these bytes: SHA-256, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def pack(folder: Path | str) -> bytes:
    """The folder as a tar.gz: the same files give the same bytes, wherever and whenever.

    Left out are `IGNORED` and what `.tuningignore` in the folder lists: one shell pattern a line, for a name or for
    a path from the folder; `#` begins a comment.

    Raises:
        BadBundle: it is no folder, holds no file, or a link in it leads outside; or `.tuningignore` is no text.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadBundle(f"{root} is not a folder")
    buffer = io.BytesIO()
    count = 0
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, name in _walk(root, root, _patterns(root)):
            _add(archive, path, name)
            count += 1
    if not count:
        raise BadBundle(f"{root} holds no files")
    return buffer.getvalue()


def _patterns(root: Path) -> tuple[str, ...]:
    try:
        text = (root / IGNORE_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return IGNORED
    except UnicodeDecodeError:
        raise BadBundle(f"{IGNORE_FILE} is no text in UTF-8") from None
    lines = (line.strip().rstrip("/").removeprefix("./").removeprefix("/") for line in text.splitlines())
    return IGNORED + tuple(line for line in lines if line and not line.startswith("#"))


def _walk(root: Path, folder: Path, patterns: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        name = path.relative_to(root).as_posix()
        if any(fnmatch.fnmatchcase(path.name, p) or fnmatch.fnmatchcase(name, p) for p in patterns):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(root, path, patterns)
        elif path.is_file() or path.is_symlink():
            yield path, name


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    if path.is_symlink():
        target = path.readlink().as_posix()
        if not link_stays_inside(name, target):
            raise BadBundle(f"{name} is a link to {target}, outside the folder: copy the file there instead")
        info.type, info.linkname = tarfile.SYMTYPE, target
        archive.addfile(info)
        return
    with path.open("rb") as stream:
        data = stream.read()
    info.size = len(data)
    # Only what matters to a program: the rest differs between checkouts of the same files.
    info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    archive.addfile(info, io.BytesIO(data))


def link_stays_inside(name: str, target: str) -> bool:
    """True when a link `name` to `target` cannot lead out of the folder, whatever other links there are.

    Up first, then down: `a/../..` is refused although it may stay inside, because `a` may itself be a link.
    """
    parts = PurePosixPath(target).parts
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    return (
        not target.startswith("/")
        and bool(parts)
        and ".." not in parts[climbs:]
        and climbs <= len(PurePosixPath(name).parts) - 1
    )


def inspect(data: bytes, limits: BundleLimits | None = None) -> BundleSummary:
    """What the bundle holds, after every check that unpacking makes. Nothing is written.

    Raises:
        BadBundle: with a message for the one who packed it.
    """
    total = 0
    files = []
    for entry in _checked(data, limits or BundleLimits()):
        if entry.kind == "file":
            total += sum(map(len, entry.chunks()))
        if entry.kind != "folder":
            files.append(entry.name)
    if not files:
        raise BadBundle("the archive holds no files")
    return BundleSummary(files=tuple(sorted(files)), bytes=total)


def list_files(data: bytes) -> list[str]:
    """Relative POSIX paths of the files in the bundle, sorted. Raises BadBundle as `inspect` does."""
    return list(inspect(data).files)


def unpack(data: bytes, folder: Path | str, limits: BundleLimits | None = None) -> None:
    """Write the bundle's files into `folder`, an empty or absent one.

    Raises:
        BadBundle: part of it may have been written.
        OSError: the disk is full, or `folder` cannot be written.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    made = {root}
    symbolic: list[Entry] = []
    for entry in _checked(data, limits or BundleLimits()):
        path = root / entry.name
        parent = path if entry.kind == "folder" else path.parent
        if parent not in made:
            parent.mkdir(parents=True, exist_ok=True)
            made.add(parent)
        if entry.kind == "file":
            with path.open("xb") as stream:
                for chunk in entry.chunks():
                    stream.write(chunk)
            path.chmod(0o755 if entry.executable else 0o644)
        elif entry.kind == "hardlink":
            path.hardlink_to(root / entry.target)
        elif entry.kind == "symlink":
            symbolic.append(entry)
    # Last, so that no file is ever written through one.
    for entry in symbolic:
        (root / entry.name).symlink_to(entry.target)


def _checked(data: bytes, limits: BundleLimits) -> Iterator[Entry]:
    """The entries, each in a place of its own inside the folder."""
    kinds: dict[str, str] = {}
    for entry in entries(data, limits):
        for parent in PurePosixPath(entry.name).parents:
            if kinds.setdefault(str(parent), "folder") != "folder":
                raise BadBundle(f"{entry.name} lies below {parent}, which is no folder in this archive")
        before = kinds.get(entry.name)
        if before is not None and (before, entry.kind) != ("folder", "folder"):
            raise BadBundle(f"{entry.name} is in the archive twice")
        kinds[entry.name] = entry.kind
        if entry.kind == "symlink" and not link_stays_inside(entry.name, entry.target):
            raise BadBundle(f"{entry.name} is a link to {entry.target}, outside the program's folder")
        if entry.kind == "hardlink" and kinds.get(entry.target) != "file":
            raise BadBundle(f"{entry.name} is a hard link to {entry.target}, which is no file before it in the archive")
        yield entry
