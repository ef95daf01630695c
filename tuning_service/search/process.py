"""One child process, as the host's thread for it sees it: started when needed, killed when late."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tuning_service
from tuning_service.search.messages import encode

# One thread for each numerical library: a child shares its machine with trainings. Of the service's own environment
# only what a process needs to start is handed down; passwords are not.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")
_MOST_STDERR = 2**20


class ChildDied(Exception):
    """The child process ended without an answer. The text says how."""


class ChildTimedOut(Exception):
    """The child process did not answer in time, and was killed."""


class ChildProcess:
    """A process that answers one question at a time.

    `start` and `ask` are called from one thread; `kill` from any, and makes an `ask` in progress raise ChildDied.
    """

    def __init__(self) -> None:
        self.starts = 0  # grows with each new process, whose memory is empty
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115  # closed by `close`
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the process that runs now, or ran last."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """A process runs, a new one if need be."""
        if self._process is not None and self._process.poll() is None:
            return
        self._close_pipes()
        home = str(Path(tuning_service.__file__).parents[1])
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict.fromkeys(_THREADS, "1")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environment.get("PYTHONPATH")]))
        with self._lock:
            if self._is_closed:
                raise ChildDied("it was shut down")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuning_service.search.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in a terminal is for the service, which then ends its children
            )
            self.starts += 1

    def ask(self, question: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The answer to `question`.

        Raises:
            ChildDied, ChildTimedOut: no answer; the process is gone.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ChildDied("it was not started")
        line = encode(question)
        deadline = time.monotonic() + timeout_s
        try:
            _write(process.stdin.fileno(), line, deadline)
            answer: dict[str, Any] = json.loads(_read_line(process.stdout.fileno(), deadline))
        except TimeoutError:
            self.kill()
            raise ChildTimedOut from None
        except (OSError, EOFError, json.JSONDecodeError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):  # an end of its own shows its own exit code
                process.wait(1.0)
            self.kill()
            raise ChildDied(self._how_it_ended(process)) from error
        if os.fstat(self._stderr.fileno()).st_size > _MOST_STDERR:
            self._stderr.truncate(0)
        return answer

    def kill(self) -> None:
        """No process runs any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """No process runs any more, nor ever will."""
        with self._lock:
            self._is_closed = True
        self.kill()

    def release(self) -> None:
        """Open files are closed. The last call, when no other is under way."""
        self._close_pipes()
        self._stderr.close()

    def _close_pipes(self) -> None:
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()

    def last_words(self) -> str:
        """The end of what the process wrote to standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 4000))
        return self._stderr.read().decode(errors="replace").strip()

    @staticmethod
    def _how_it_ended(process: "subprocess.Popen[bytes]") -> str:
        code = process.returncode
        if code is not None and code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"


def _wait(descriptor: int, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError


def _write(descriptor: int, data: bytes, deadline: float) -> None:
    os.set_blocking(descriptor, False)
    rest = memoryview(data)
    while rest:
        _wait(descriptor, selectors.EVENT_WRITE, deadline)
        rest = rest[os.write(descriptor, rest) :]


def _read_line(descriptor: int, deadline: float) -> bytes:
    chunks: list[bytes] = []
    while not chunks or not chunks[-1].endswith(b"\n"):
        _wait(descriptor, selectors.EVENT_READ, deadline)
        chunk = os.read(descriptor, 65_536)
        if not chunk:
            raise EOFError
        chunks.append(chunk)
    return b"".join(chunks)
