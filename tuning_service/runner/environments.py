"""Environments that were made on this executor: made once, shared by its tasks and processes, dropped when not used.

    <folder>/<key>/lock       who makes the environment has it alone, who uses it shares it
    <folder>/<key>/current    JSON: where it is, its interpreter, its size. Put here by a rename when all is made
    <folder>/<key>/failed     JSON: why it could not be made, so that not every task tries again at once
    <folder>/<key>/b-*/       the environment, or what somebody who did not get to the end has left

An environment stays in the folder in which it was made, because its scripts name that path: what is renamed at the end
is the file that points to it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_POLL_S = 0.1
_REMEMBERED_S = 30.0
_CURRENT, _FAILED, _LOCK, _MADE = "current", "failed", "lock", "b-"


def install_s() -> float:
    """How long making an environment may take: TUNING_INSTALL_S, 1800 s."""
    return float(os.environ.get("TUNING_INSTALL_S", "1800"))


class EnvironmentFault(Exception):
    """The executor cannot give a program what it needs to start. The message is one line, `explanation` many."""

    def __init__(self, reason: str, explanation: str = "") -> None:
        super().__init__(reason)
        self.explanation = explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An environment on the disk, both paths absolute."""

    home: Path
    python: Path


class EnvironmentCache:
    """Environments by key. Safe from any thread and process of the machine that shares `folder`."""

    def __init__(self, folder: Path, limit_bytes: int, beat: Callable[[], None]) -> None:
        """`beat` is called several times a second while somebody else makes what is needed; what it raises passes."""
        self._folder = folder
        self._limit = limit_bytes
        self._beat = beat

    @contextlib.contextmanager
    def use(self, key: str, make: Callable[[Path], Path]) -> Iterator[Made]:
        """The environment `key`, which is not dropped while the block runs.

        `make(home)` fills an empty folder and returns the interpreter in it, when there is no such environment yet.

        Raises:
            EnvironmentFault: `make` raised it, now or a moment ago in another task.
            OSError: the disk does not allow it.
        """
        place = self._folder / key
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (place / _LOCK).open("a") as lock:
            made = self._shared(place, lock)
            while made is None:
                self._wait(lock, fcntl.LOCK_EX)
                if _current(place) is None:
                    self._make(place, make)
                made = self._shared(place, lock)
            yield made

    def _shared(self, place: Path, lock: IO[str]) -> Made | None:
        """The environment, with a share in its lock; None when there is none."""
        self._wait(lock, fcntl.LOCK_SH)
        made = _current(place)
        if made is not None:
            os.utime(place / _CURRENT)  # the one that was not used for longest is dropped first
        return made

    def _wait(self, lock: IO[str], kind: int) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                return
            self._beat()
            time.sleep(_POLL_S)

    def _make(self, place: Path, make: Callable[[Path], Path]) -> None:
        _raise_remembered(place / _FAILED)
        for left in place.glob(f"{_MADE}*"):
            shutil.rmtree(left, ignore_errors=True)
        home = Path(tempfile.mkdtemp(prefix=_MADE, dir=place))
        try:
            python = make(home)
            facts = {"home": home.name, "python": str(python.relative_to(home)), "bytes": _size(home)}
            _put(place / _CURRENT, facts)
        except EnvironmentFault as error:
            _put(place / _FAILED, {"at": time.time(), "reason": str(error), "explanation": error.explanation})
            shutil.rmtree(home, ignore_errors=True)
            raise
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        (place / _FAILED).unlink(missing_ok=True)
        self._shrink(place)

    def _shrink(self, spared: Path) -> None:
        """Drop what was not used for longest, until the rest is within the limit; nothing that is in use."""
        found = []
        for place in self._folder.iterdir():
            with contextlib.suppress(OSError, ValueError, KeyError):  # somebody else's shrinking
                used_at = (place / _CURRENT).stat().st_mtime
                found.append((used_at, _read(place / _CURRENT)["bytes"], place))
        total = sum(size for _, size, _ in found)
        for _, size, place in sorted(found):
            if total <= self._limit:
                break
            if place != spared and _drop(place):
                total -= size


def _current(place: Path) -> Made | None:
    try:
        facts = _read(place / _CURRENT)
        home = place / facts["home"]
        python = home / facts["python"]
    except (OSError, ValueError, KeyError):
        return None
    # Cleaners of temporary folders take away what is old, file by file.
    return Made(home=home, python=python) if python.exists() else None


def _raise_remembered(path: Path) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        facts = _read(path)
        ago_s = time.time() - facts["at"]
        if 0 <= ago_s < _REMEMBERED_S:
            raise EnvironmentFault(f"{facts['reason']} ({ago_s:.0f} s ago)", facts["explanation"])


def _drop(place: Path) -> bool:
    """True when nobody used it, and it is gone."""
    with contextlib.suppress(OSError), (place / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (place / _CURRENT).unlink(missing_ok=True)
        for made in place.glob(f"{_MADE}*"):
            shutil.rmtree(made, ignore_errors=True)
        return True
    return False


def _read(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _put(path: Path, facts: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(facts), encoding="utf-8")
    part.replace(path)


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - many thousands of files
    return total
