"""A Python environment for the requirements of a plug-in: made once, shared by all that require the same.

It sees this service's own packages behind its own, so that `tuning_service` imports and what is there already is not
installed again. Only wheels are installed: a source archive runs code of strangers while it is built, outside of the
limits that plug-ins run under.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import site
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import tuning_service
from tuning_service.domain.errors import GiveUp, TryAgain
from tuning_service.runner.tools import run_tool
from tuning_service.runner.training import close_idle
from tuning_service.runner.venvs import for_pip, pip_install_command, python_in, show_packages, venv_command

_COMPLETE = "complete"  # a file that is written last
_POLL_S = 0.1
_MOST_WORDS = 3000
# pip is told where packages come from through these; passwords of the service's are not its business.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_KEPT_BEGINNINGS = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def python_of(
    requirements: Sequence[str],
    folder: Path,
    *,
    timeout_s: float,
    closing: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """The interpreter of the environment with these requirements, which is made in `folder` when it is not there.

    `tell` hears what is being done. Safe from any thread and process; the second one waits for the first.

    Raises:
        GiveUp: the requirements do not resolve, or not within `timeout_s`; the message ends with pip's own words.
        TryAgain: `closing` was set meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / _digest(requirements)
    python = python_in(home)
    deadline = time.monotonic() + timeout_s
    closing = closing or threading.Event()
    with _lock(home.with_suffix(".lock"), deadline, closing):
        if (home / _COMPLETE).is_file():
            os.utime(home / _COMPLETE)
            return python
        shutil.rmtree(home, ignore_errors=True)  # of somebody who did not get to the end
        try:
            tell("making an environment")
            _install(requirements, home, deadline, closing, tell)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        finally:
            close_idle()  # no supervisor stays beside a service that may never install anything again
        (home / _COMPLETE).write_text("\n".join(requirements), encoding="utf-8")
    return python


def forget(folder: Path, *, keep: Sequence[Sequence[str]], before: float) -> None:
    """Remove the environments in `folder` but those with the requirements in `keep`, and those used after `before`."""
    kept = {_digest(requirements) for requirements in keep}
    for lock in folder.glob("*.lock") if folder.is_dir() else ():
        home = lock.with_suffix("")
        if home.name in kept:
            continue
        # Somebody who makes it or asks for it is left alone. The lock stays: another may wait for it.
        with lock.open("w") as file, contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (home / _COMPLETE).stat().st_mtime < before:
                shutil.rmtree(home, ignore_errors=True)


def _install(
    requirements: Sequence[str],
    home: Path,
    deadline: float,
    closing: threading.Event,
    tell: Callable[[str], None],
) -> None:
    environment = for_pip(_environment(os.environ))

    def run(argv: Sequence[str]) -> None:
        limit_s = max(0.001, deadline - time.monotonic())
        end = run_tool(argv, environment, home, lambda: _raise_if(closing), time_limit_s=limit_s)
        if end.timed_out or end.code != 0:
            when = " in time" if end.timed_out else ""
            said = end.output.strip()[-_MOST_WORDS:]
            raise GiveUp(f"The requirements could not be installed{when}.\n{said}".strip())

    home.mkdir()
    run(venv_command(home))
    show_packages(home, _service_paths())
    tell(f"installing {', '.join(requirements)}")
    run(pip_install_command(home, "--only-binary", ":all:", "--quiet", *requirements))


def _raise_if(closing: threading.Event) -> None:
    if closing.is_set():
        raise TryAgain("The service is stopping.")


def service_home() -> str:
    """The folder that `tuning_service` is imported from."""
    return str(Path(tuning_service.__file__).parents[1])


def _service_paths() -> list[str]:
    return list(dict.fromkeys([service_home(), *site.getsitepackages()]))


def _digest(requirements: Sequence[str]) -> str:
    # Packages of this very service and interpreter are seen in it, so it is theirs alone.
    facts = [sorted(requirements), sys.version, sys.prefix, _service_paths()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


@contextlib.contextmanager
def _lock(path: Path, deadline: float, closing: threading.Event) -> Iterator[None]:
    with path.open("w") as file:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            closing.wait(_POLL_S)
            _raise_if(closing)
            if time.monotonic() > deadline:
                raise GiveUp("Somebody else is making the same environment, and has not finished in time.")
        yield


def _environment(whole: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in whole.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)}
