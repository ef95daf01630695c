"""A Python environment for the requirements of a plug-in: made once, shared by all that require the same.

It sees this service's own packages behind its own, so that `tuning_service` imports and what is there already is not
installed again. Only wheels are installed: a source archive runs code of strangers while it is built, outside of the
limits that plug-ins run under.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import tuning_service
from tuning_service.domain.errors import GiveUp, TryAgain

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
    python = home / "bin" / "python"
    deadline = time.monotonic() + timeout_s
    closing = closing or threading.Event()
    with _lock(home.with_suffix(".lock"), deadline, closing):
        if (home / _COMPLETE).is_file():
            os.utime(home / _COMPLETE)
            return python
        shutil.rmtree(home, ignore_errors=True)  # of somebody who did not get to the end
        try:
            tell("making an environment")
            _install(requirements, home, python, deadline, closing, tell)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
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
    python: Path,
    deadline: float,
    closing: threading.Event,
    tell: Callable[[str], None],
) -> None:
    # The service's own pip, where there is one, saves the seconds that another one takes.
    has_pip = importlib.util.find_spec("pip") is not None
    without = ["--without-pip"] if has_pip else []
    _run([sys.executable, "-m", "venv", "--system-site-packages", *without, str(home)], deadline, closing)
    _show_service(home)
    tell(f"installing {', '.join(requirements)}")
    pip = [sys.executable, "-m", "pip", "--python", str(python)] if has_pip else [str(python), "-m", "pip"]
    quiet = ["--quiet", "--no-input", "--no-warn-script-location", "--disable-pip-version-check"]
    _run([*pip, "install", "--only-binary", ":all:", *quiet, *requirements], deadline, closing)


def service_home() -> str:
    """The folder that `tuning_service` is imported from."""
    return str(Path(tuning_service.__file__).parents[1])


def _service_paths() -> list[str]:
    return list(dict.fromkeys([service_home(), *site.getsitepackages()]))


def _digest(requirements: Sequence[str]) -> str:
    # Packages of this very service and interpreter are seen in it, so it is theirs alone.
    facts = [sorted(requirements), sys.version, sys.prefix, _service_paths()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _show_service(home: Path) -> None:
    """The service's packages come behind the environment's own: a venv made from a venv would not see them at all."""
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "tuning_service_paths.pth").write_text("\n".join(_service_paths()) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _lock(path: Path, deadline: float, closing: threading.Event) -> Iterator[None]:
    with path.open("w") as file:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if closing.wait(_POLL_S):
                raise TryAgain("The service is stopping.")
            if time.monotonic() > deadline:
                raise GiveUp("Somebody else is making the same environment, and has not finished in time.")
        yield


def _run(argv: Sequence[str], deadline: float, closing: threading.Event) -> None:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(os.environ),
        text=True,
        errors="replace",
        start_new_session=True,
    )
    words: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda stream: words.append(stream.read()), args=(process.stdout,), daemon=True)
    reader.start()
    try:
        problem = _wait(process, deadline, closing)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        process.stdout.close()
    said = "".join(words).strip()[-_MOST_WORDS:]
    if problem:
        raise GiveUp(f"{problem}\n{said}".strip())


def _wait(process: "subprocess.Popen[str]", deadline: float, closing: threading.Event) -> str:
    """What went wrong; "" when nothing did."""
    while process.poll() is None:
        if closing.is_set():
            raise TryAgain("The service is stopping.")
        if time.monotonic() > deadline:
            return "The requirements could not be installed in time."
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
    return "The requirements could not be installed." if process.returncode else ""


def _environment(whole: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in whole.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)}
