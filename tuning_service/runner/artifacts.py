"""The files that a training left: which are kept, and how they get to the service.

That is after the training's end and before its outcome is reported, so that whoever sees that a trial has ended finds
its files; and it is bounded in time, so that a service that is away, or slow, costs no trial its outcome.
"""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tuning_service.domain.artifact import MOST_FILES, ArtifactRoom, path_problem
from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import LaunchPlan, Outcome
from tuning_service.runner.reporter import Backoff, Reporter
from tuning_service.runner.service import Gone, Refused, Service, Unreachable, Unreadable

VARIABLE = "TUNING_ARTIFACTS_DIR"
SNAPSHOTS = (".caffemodel", ".solverstate", ".caffemodel.h5", ".solverstate.h5")
_MOST_ENTRIES = 20_000  # that are looked at
_PATIENCE_S = 30.0  # with a service that cannot be reached
_SLOW_ANSWER_S = 60.0
_SHOWN = 20
_STOPPED = "the service asked to end"
_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)


def upload_s() -> float:
    """How long the files of one execution may take in all: TUNING_ARTIFACTS_S, 300 s."""
    return float(os.environ.get("TUNING_ARTIFACTS_S", "300"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Where files are looked for: below `path`, those whose names end in `suffixes` and that are newer than `since_ns`.

    They are kept under their paths in it, after `prefix`.
    """

    path: Path
    prefix: str = ""
    suffixes: tuple[str, ...] = ("",)
    since_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: str  # what it is kept under
    place: str  # without links
    size: int
    modified_ns: int


def with_artifacts(
    plan: LaunchPlan, outcome: Outcome, folders: Sequence[Folder], reporter: Reporter, url: str
) -> Outcome:
    """`outcome`, with an account of what was not kept, after the rest was sent to the service at `url`.

    Only of a training that ended by itself: one that was stopped has to make room at once, and one that was lost will
    be run again. Reports go on meanwhile.

    Raises:
        Gone: the service has given the execution up.
    """
    if outcome.status not in {TaskStatus.SUCCEEDED, TaskStatus.FAILED}:
        return outcome
    upload = _Upload(plan, url)
    files = sorted(_found(folders, upload), key=lambda file: (-file.modified_ns, file.path))
    if files:
        _send(upload, files, reporter)
    told = upload.account()
    if not told:
        return outcome
    return replace(outcome, explanation="\n\n".join(filter(None, [outcome.explanation, told])))


def _send(upload: "_Upload", files: list[_File], reporter: Reporter) -> None:
    thread = threading.Thread(target=upload.send, args=(files,), name="artifacts", daemon=True)
    deadline = time.monotonic() + upload_s()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(min(reporter.due_in(), 0.2))
            reporter.pump()
            if reporter.decision is not Decision.CONTINUE:
                upload.cancel(_STOPPED)
                break
            if time.monotonic() >= deadline:
                upload.cancel(f"there was no time for more than {upload_s():g} s of uploading")
                break
    except Gone:
        upload.cancel(_STOPPED)
        raise
    finally:
        thread.join(5.0)


class _Upload:
    """One execution's files on their way: `send` in one thread, `cancel` and `account` in another."""

    def __init__(self, plan: LaunchPlan, url: str) -> None:
        self._plan = plan
        self._service = Service(url, timeout_s=_SLOW_ANSWER_S)  # its own, because reports go on meanwhile
        self._lock = threading.Lock()
        self._waiting: dict[str, _File] = {}
        self._left_out: dict[str, str] = {}  # by path, why
        self._why = ""  # of those that still wait when there is no more sending

    def leave_out(self, path: str, why: str) -> None:
        """Take note of a file that will not be sent."""
        with self._lock:
            self._waiting.pop(path, None)
            self._left_out.setdefault(path, why)

    def cancel(self, why: str) -> None:
        """No more is sent; what has not been stored yet is left out for this reason."""
        self._end(why)
        self._service.interrupt()

    def account(self) -> str:
        """What was left out, and why; "" when nothing was."""
        with self._lock:
            entries = [f"{path!a}: {why}" for path, why in self._left_out.items()]
            entries += [f"{path!a}: {self._why}" for path in self._waiting]
        more = [f"and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
        return "\n".join(["Artifacts that were not kept:", *entries[:_SHOWN], *more]) if entries else ""

    def send(self, files: Sequence[_File]) -> None:
        """Returns when all that can be stored is. Those that were written last come first, and count most."""
        with self._lock:
            self._waiting = {file.path: file for file in files}
        try:
            room = self._persistently(lambda: self._service.artifact_room(self._plan.task_id, self._plan.token))
            for file in self._fitting(files, room):
                self._put(file)
        except Refused as error:
            self._end(f"the service did not take it: {error}")
        except Gone:
            self._end(_STOPPED)
        except Unreachable as error:
            self._end(f"the service could not be reached: {error}")
        except Exception as error:  # noqa: BLE001 - the outcome has to be told in any case
            _log.exception("artifacts were not sent", extra=dict(self._plan.context))
            self._end(repr(error))
        finally:
            self._service.close()

    def _end(self, why: str) -> None:
        with self._lock:
            self._why = self._why or why

    def _fitting(self, files: Sequence[_File], room: ArtifactRoom) -> list[_File]:
        chosen: list[_File] = []
        left = room.bytes
        for file in files:
            if len(chosen) >= room.files:
                self.leave_out(file.path, f"a trial may leave {MOST_FILES} files")
            elif file.size > left:
                self.leave_out(file.path, f"{_size(file.size)}; {room.why}")
            else:
                chosen.append(file)
                left -= file.size
        return chosen

    def _put(self, file: _File) -> None:
        task, token = self._plan.task_id, self._plan.token
        try:
            self._persistently(lambda: self._service.put_artifact(task, token, file.path, file.place, file.size))
        except Unreadable as error:
            self.leave_out(file.path, f"it could not be read: {error}")
        with self._lock:
            self._waiting.pop(file.path, None)

    def _persistently(self, act: Callable[[], _Answer]) -> _Answer:
        """What `act` gives once the service can be reached. Raises Unreachable after too long, and after `cancel`."""
        deadline = time.monotonic() + _PATIENCE_S
        backoff = Backoff()
        while True:
            if self._why:
                raise Unreachable(self._why)
            try:
                return act()
            except Unreachable:
                pause_s = backoff.pause_s()
                if self._why or time.monotonic() + pause_s > deadline:
                    raise
                time.sleep(pause_s)


def _found(folders: Sequence[Folder], upload: _Upload) -> list[_File]:
    files: dict[str, _File] = {}
    for folder in folders:
        for file in _below(folder, upload):
            if file.path in files:
                upload.leave_out(f"{file.path} ({file.place})", "another file has its name")
            else:
                files[file.path] = file
    return list(files.values())


def _below(folder: Folder, upload: _Upload) -> Iterator[_File]:
    root = os.path.realpath(folder.path)
    seen = 0
    for place, _, names in os.walk(root):  # which follows no links
        for name in sorted(names):
            seen += 1
            if seen > _MOST_ENTRIES:
                upload.leave_out(f"{folder.prefix}…", f"more than {_MOST_ENTRIES} files were not looked at")
                return
            if not name.endswith(folder.suffixes):
                continue
            full = os.path.join(place, name)  # noqa: PTH118 - names need not be text
            path = folder.prefix + os.path.relpath(full, root)
            real = os.path.realpath(full)
            try:
                status = os.stat(real, follow_symlinks=False)  # noqa: PTH116
            except OSError as error:
                problem = error.strerror or str(error)
            else:
                if status.st_mtime_ns <= folder.since_ns:
                    continue
                problem = _problem(path, real, root, status.st_mode)
            if problem:
                upload.leave_out(path, problem)
            else:
                yield _File(path=path, place=real, size=status.st_size, modified_ns=status.st_mtime_ns)


def _problem(path: str, real: str, root: str, mode: int) -> str:
    if not real.startswith(root + os.sep):
        return "it is a link to somewhere else"
    if not stat.S_ISREG(mode):
        return "it is no plain file"
    return path_problem(path)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count} bytes"
