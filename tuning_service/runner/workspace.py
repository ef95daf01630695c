"""Folders on the executor: one for each task, and a cache of programs that its tasks share."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tuning_service.runner.bundle import BadBundle, BundleLimits, digest, unpack

_CACHE_BYTES = 2 * 2**30
_PARTIAL_AGE_S = 3600.0
# How large a program may be is the deployment's choice, and was checked when it was uploaded: its digest says that
# these are the same bytes. Limits of the runner's own would refuse here what was accepted there.
_AS_ACCEPTED = BundleLimits(total_bytes=2**62, files=2**31)


def root() -> Path:
    """Where this executor's tasks work: TUNING_WORK_DIR, or a folder of this user's under the temporary one."""
    chosen = os.environ.get("TUNING_WORK_DIR")
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"tuning-service-{os.getuid()}"
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not chosen and folder.stat().st_uid != os.getuid():
        # Anybody can make folders in /tmp; programs must not come out of a stranger's.
        raise PermissionError(f"{folder} belongs to another user: set TUNING_WORK_DIR")
    return folder


class ProgramCache:
    """Bundles by digest. What is in a file is checked each time it is used: trainings could write here."""

    def __init__(self, folder: Path, limit: int = _CACHE_BYTES) -> None:
        self._folder = folder
        self._limit = limit

    def get(self, name: str) -> bytes | None:
        """The bundle, or None when it is not here, or not what it should be."""
        path = self._folder / name
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if digest(data) != name:
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the oldest is dropped first
        return data

    def put(self, name: str, data: bytes) -> None:
        """Keep a bundle. Two at once for the same one do no harm; a full disk means that it is not kept."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, partial = tempfile.mkstemp(prefix=".partial-", dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                Path(partial).replace(self._folder / name)
            except OSError:
                Path(partial).unlink(missing_ok=True)
            self._shrink()

    def _shrink(self) -> None:
        files = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):  # another worker's shrinking
                status = path.stat()
                if path.name.startswith(".") and status.st_mtime < time.time() - _PARTIAL_AGE_S:
                    path.unlink()
                else:
                    files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files)[:-1]:
            if total <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= size


class Workspace:
    """One task's folder, gone after `remove`. `program` in it is the working directory, `folder` for temporary files.

    Two folders and no more, for making and removing them is a good part of what a short task costs.
    """

    def __init__(self) -> None:
        """Raises OSError when the disk does not allow it."""
        self.folder = Path(tempfile.mkdtemp(prefix="task-", dir=root()))
        self.program = self.folder / "program"
        self.spool = self.folder / "spool"
        self.artifacts = self.folder / "artifacts"

    def fill(self, bundle: bytes, files: Mapping[str, str]) -> None:
        """Unpack the program and write `files` over it. Raises BadBundle, OSError."""
        unpack(bundle, self.program, _AS_ACCEPTED)
        for name, text in files.items():
            path = self.program / name
            if path.is_dir() and not path.is_symlink():
                raise BadBundle(
                    f"the program has a folder {name}, where a file is put for each trial: rename the folder"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a link of the program's must not say where this goes
            path.write_text(text, encoding="utf-8")

    def remove(self) -> None:
        """Delete it all, as far as the file system allows."""
        shutil.rmtree(self.folder, ignore_errors=True)
