"""Programs, plug-ins, logs and artifacts, in any file system that fsspec knows (file, s3, hdfs …)."""

import errno
import hashlib
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import fsspec

from tuning_service.domain.errors import GiveUp, NotFound, TryAgain

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_NO_ROOM_LEFT = "The service has no room to store this."
_REFUSED = "The service's artifact store takes no files at present."
_PIECE = 2**20
_PART = ".part"  # ends the names of files that are being written


class ArtifactStore:
    """Bytes under keys. A tenant's keys all begin with its id, so that nothing is shared by accident.

    Safe from any thread and any number of processes: a key is written once, whole, or again with the same bytes.
    """

    def __init__(self, url: str) -> None:
        """`url` as fsspec takes it: a path, s3://bucket/folder …

        Raises:
            GiveUp: of a kind that it does not know, or whose package is not installed.
        """
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise GiveUp(f"The artifact store {url!r} cannot be used: {error}") from error
        if "file" in self._fs.protocol:
            # The only ones with folders to make; s3fs hands an option that it does not know on, to its failure.
            self._fs = fsspec.filesystem("file", auto_mkdir=True)

    def check(self) -> None:
        """Return quietly when files can be stored. Raises TryAgain, as all that store something."""
        self._put(posixpath.join(self._root, ".check"), b"This file tells that the service can write here.\n")

    def put_program(self, tenant_id: str, digest: str, data: bytes) -> None:
        """Keep the bundle. Raises TryAgain, as all that store something."""
        self._put(self._program(tenant_id, digest), data)

    def program(self, tenant_id: str, digest: str) -> bytes:
        """The bundle's bytes. Raises NotFound."""
        try:
            data: bytes = self._fs.cat_file(self._program(tenant_id, digest))
        except FileNotFoundError as error:
            raise NotFound(f"The program {digest} is not stored any more.") from error
        return data

    def has_program(self, tenant_id: str, digest: str) -> bool:
        """True when the bundle is stored."""
        return self._has(self._program(tenant_id, digest))

    def delete_program(self, tenant_id: str, digest: str) -> None:
        """Forget the bundle; unknown ones too."""
        self._delete(self._program(tenant_id, digest))

    def put_plugin(self, owner: str | None, digest: str, data: bytes) -> None:
        """Keep the archive of a tenant's plug-in; of the operator's without an `owner`."""
        self._put(self._plugin(owner, digest), data)

    def plugin(self, owner: str | None, digest: str) -> bytes:
        """The archive's bytes. Raises NotFound."""
        try:
            data: bytes = self._fs.cat_file(self._plugin(owner, digest))
        except FileNotFoundError as error:
            raise NotFound(f"The plug-in {digest} is not stored any more.") from error
        return data

    def has_plugin(self, owner: str | None, digest: str) -> bool:
        """True when the archive is stored."""
        return self._has(self._plugin(owner, digest))

    def delete_plugin(self, owner: str | None, digest: str) -> None:
        """Forget the archive; unknown ones too."""
        self._delete(self._plugin(owner, digest))

    def put_log(self, tenant_id: str, job_id: str, task_id: str, offset: int, text: bytes) -> None:
        """Keep a piece of a task's log that belongs at byte `offset`."""
        self._put(posixpath.join(self._log(tenant_id, job_id, task_id), f"{offset:012d}"), text)

    def log(self, tenant_id: str, job_id: str, task_id: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from byte `start`; b"" where there is nothing yet, blanks where a piece is missing."""
        pieces = bytearray()
        for offset, path in self._log_pieces(self._log(tenant_id, job_id, task_id), start):
            if offset >= start + length:
                break
            data = self._fs.cat_file(path)
            pieces += b" " * (offset - start - len(pieces))  # of a piece that could not be stored
            pieces += data[max(0, start + len(pieces) - offset) : start + length - offset]
            if len(pieces) >= length:
                break
        return bytes(pieces)

    def write_artifact(self, tenant_id: str, job_id: str, task_id: str, path: str) -> "ArtifactWriter":
        """To take a file in piece by piece. Raises TryAgain."""
        return ArtifactWriter(self._fs, self._artifact(tenant_id, job_id, task_id, path))

    def artifact(self, tenant_id: str, job_id: str, task_id: str, path: str) -> Iterator[bytes]:
        """The file's bytes in pieces. Raises NotFound, at once and not with the first piece."""
        try:
            stream = self._fs.open(self._artifact(tenant_id, job_id, task_id, path), "rb")
        except FileNotFoundError as error:
            raise NotFound(f"The artifact {path!r} is not stored any more.") from error
        return _pieces(stream)

    def delete_artifact(self, tenant_id: str, job_id: str, task_id: str, path: str) -> None:
        """Forget the file; unknown ones too."""
        self._delete(self._artifact(tenant_id, job_id, task_id, path))

    def delete_job(self, tenant_id: str, job_id: str) -> None:
        """Forget all logs and artifacts of a job."""
        self._delete(posixpath.join(self._root, tenant_id, "jobs", job_id))

    def _log_pieces(self, folder: str, start: int) -> Iterator[tuple[int, str]]:
        self._fs.invalidate_cache(folder)
        try:
            paths = sorted(path for path in self._fs.ls(folder, detail=False) if not path.endswith(_PART))
        except FileNotFoundError:
            return
        offsets = [int(posixpath.basename(path)) for path in paths]
        # The last piece at or before `start` may reach beyond it.
        first = max((i for i, offset in enumerate(offsets) if offset <= start), default=0)
        yield from zip(offsets[first:], paths[first:], strict=True)

    def _program(self, tenant_id: str, digest: str) -> str:
        return posixpath.join(self._root, tenant_id, "programs", digest)

    def _plugin(self, owner: str | None, digest: str) -> str:
        # No tenant's id looks like this.
        return posixpath.join(self._root, owner or "operator", "plugins", digest)

    def _log(self, tenant_id: str, job_id: str, task_id: str) -> str:
        return posixpath.join(self._root, tenant_id, "jobs", job_id, "logs", task_id)

    def _artifact(self, tenant_id: str, job_id: str, task_id: str, path: str) -> str:
        # Under a digest: names of strangers' choice need not be ones that each kind of store takes.
        name = hashlib.sha256(path.encode()).hexdigest()
        return posixpath.join(self._root, tenant_id, "jobs", job_id, "artifacts", task_id, name)

    def _put(self, path: str, data: bytes) -> None:
        # Written beside and moved, so that no reader ever sees half of it (object stores do that by themselves).
        if "file" in self._fs.protocol:
            # Under a name of its own each time: two may store the same content at once.
            part = _part_of(path)
            try:
                self._fs.pipe_file(part, data)
                self._fs.mv(part, path)
            except OSError as error:
                with suppress(OSError):
                    self._fs.rm(part)
                raise _refusal(error) from error
            return
        try:
            self._fs.pipe_file(path, data)
        except Exception as error:  # each kind of store has errors of its own
            raise _refusal(error) from error

    def _has(self, path: str) -> bool:
        self._fs.invalidate_cache(posixpath.dirname(path))
        return bool(self._fs.exists(path))

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm(path, recursive=True)


class ArtifactWriter:
    """A file that is being stored: `write` its pieces, then `keep` or `drop` it. All but `drop` raise TryAgain."""

    def __init__(self, fs: Any, path: str) -> None:
        self._fs = fs
        self._path = path
        # Under another name until it is whole, on any kind of store: closing what was begun would store half of it.
        self._part = _part_of(path)
        with _refusing():
            self._stream: IO[bytes] = fs.open(self._part, "wb")

    def write(self, data: bytes) -> None:
        """Append a piece."""
        with _refusing():
            self._stream.write(data)

    def keep(self) -> None:
        """The file is stored, in the place of one that was there."""
        with _refusing():
            self._stream.close()
            self._fs.mv(self._part, self._path)

    def drop(self) -> None:
        """Nothing of it is left; what was there before stays."""
        for undo in (self._stream.close, lambda: self._fs.rm(self._part)):
            with suppress(Exception):  # a store that refuses to write may refuse this
                undo()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> TryAgain:
    message = _NO_ROOM_LEFT if isinstance(error, OSError) and error.errno in _NO_ROOM else _REFUSED
    return TryAgain(message, retry_after_s=5, detail=f"{type(error).__name__}: {error}")


def _part_of(path: str) -> str:
    return f"{path}.{uuid.uuid4().hex}{_PART}"


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        while piece := stream.read(_PIECE):
            yield piece
