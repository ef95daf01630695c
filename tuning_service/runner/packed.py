"""An environment that was packed with venv-pack or conda-pack, fetched from a URL and unpacked."""

import contextlib
import errno
import hashlib
import http.client
import io
import json
import os
import socket
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tuning_service.runner.environment import Interpreter, training_environment
from tuning_service.runner.environments import EnvironmentFault, install_s
from tuning_service.runner.tools import run_tool
from tuning_service.runner.training import CouldNotStart

_TIMEOUT_S = 30.0
# What an OSError means for which the archive is to blame: another executor would meet the same.
_OF_NAMES = frozenset({errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP})
_LOOKED_UP_S = 60.0
_looked_up: dict[str, tuple[float, str]] = {}  # URL -> when, and which version of its content was there


class PackedEnvironment:
    """A tar archive at a URL, which may be compressed. Fetched again when its content has another version there."""

    def __init__(self, url: str, limit_bytes: int) -> None:
        """`limit_bytes` is what it may take, unpacked. Raises EnvironmentFault: there is nothing at that URL now."""
        self._url = url
        self._limit = limit_bytes
        self.key = "packed-" + hashlib.sha256(json.dumps([url, _version(url)]).encode()).hexdigest()[:32]

    def make(self, home: Path, beat: Callable[[], None], remove: Path) -> Path:
        """The interpreter of the environment, unpacked in `home`. `beat` and `remove` are as for `run_tool`.

        Raises:
            EnvironmentFault: it cannot be fetched or unpacked, or its Python does not run here.
        """
        deadline = time.monotonic() + install_s()

        def in_time() -> None:
            beat()
            if time.monotonic() > deadline:
                raise _fault(self._url, f"was not fetched and unpacked within {install_s():g} s")

        try:
            with _opened(self._url) as stream, tarfile.open(fileobj=_Beating(stream, in_time), mode="r|*") as archive:
                self._unpack(archive, home, in_time)
        except OSError as error:
            if error.errno not in _OF_NAMES:
                raise  # a full disk, say
            raise _fault(self._url, f"has a file that cannot be unpacked here: {error.strerror}") from error
        # A name with a null character is a ValueError, a time beyond all times an OverflowError.
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise _fault(self._url, f"is no tar archive that can be unpacked: {error}") from error
        python = _interpreter(home)
        if python is None:
            raise _fault(self._url, "has no bin/python in it: pack it with venv-pack or conda-pack")
        own = Interpreter(python=str(python), home=python.parent.parent, complete=True)
        environment = training_environment(os.environ, {}, (), remove, own)
        # Paths of the machine that it was packed on are written into many files of a conda environment.
        mend = python.parent / "conda-unpack"
        argv = [str(python), str(mend)] if mend.exists() else [str(python), "-c", ""]
        shown = mend.name if mend.exists() else "its Python"
        try:
            end = run_tool(argv, environment, home, beat, time_limit_s=install_s(), remove=remove)
        except CouldNotStart as error:
            raise _fault(self._url, f"has a Python that does not run here: {error}") from error
        if end.timed_out or end.code is None:
            raise _fault(self._url, f"does not work here: {shown} did not end by itself", end.output)
        if end.code:
            raise _fault(self._url, f"does not work here: {shown} ended with {end.code}", end.output)
        return python

    def _unpack(self, archive: tarfile.TarFile, home: Path, beat: Callable[[], None]) -> None:
        total = 0
        for member in archive:
            beat()
            total += member.size
            if total > self._limit:
                raise _fault(self._url, f"takes more than the {self._limit:,} bytes of TUNING_ENVIRONMENTS_BYTES")
            archive.extract(member, home, filter="tar")


def _interpreter(home: Path) -> Path | None:
    folders = [home / "bin", *home.glob("*/bin")]
    # A link to the Python that it was made from may lead nowhere here: that is told by running it.
    return next((folder / "python" for folder in folders if os.path.lexists(folder / "python")), None)


def _version(url: str) -> str:
    at, version = _looked_up.get(url, (0.0, ""))
    if at and time.monotonic() - at < _LOOKED_UP_S:
        return version
    with _opened(url) as answer:  # not HEAD, which signed URLs refuse
        headers = answer.headers
        version = headers.get("ETag") or f"{headers.get('Last-Modified')} {headers.get('Content-Length')}"
    _looked_up[url] = (time.monotonic(), version)
    return version


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Any]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as stream:  # noqa: S310 - schemes are checked with the job
            yield stream
    except urllib.error.HTTPError as error:
        error.close()
        raise _fault(url, f"could not be fetched: {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", "") or str(error) or type(error).__name__
        raise _fault(url, f"could not be fetched: {reason}") from error


class _Beating(io.RawIOBase):
    """A stream during whose reading heartbeats go on."""

    def __init__(self, stream: IO[bytes], beat: Callable[[], None]) -> None:
        super().__init__()
        self._stream = stream
        self._beat = beat

    def read(self, size: int = -1, /) -> bytes:
        self._beat()
        return self._stream.read(size)


def _fault(url: str, what: str, explanation: str = "") -> EnvironmentFault:
    # What stands before the host or after the path of a URL may be a password or a signature.
    shown = url.partition("?")[0]
    scheme, _, rest = shown.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}"
    reason = f"the environment {shown} {what} (on {socket.gethostname()})"
    return EnvironmentFault(reason[:500], explanation[-4000:])
