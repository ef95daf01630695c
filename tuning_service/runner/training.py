"""The worker's end of a supervisor: start a training, hear of its end, have it killed."""

import contextlib
import fcntl
import json
import os
import pkgutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_S = 0.5  # between SIGTERM and SIGKILL
_MARK = "TUNING_MARK"  # in the environment of each training: finds what is left when a supervisor was killed
_PIPE_BYTES = 2**20


class CouldNotStart(Exception):
    """The operating system refused to start the program. `number` is its errno, 0 when there is none."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a training ended; none of its descendants is left. `code` is None when its supervisor was killed."""

    code: int | None
    timed_out: bool = False
    peak_bytes: int | None = None  # resident, of the largest of its processes
    cpu_s: float | None = None  # of all of them


class Training:
    """A running training. `output` yields stdout and stderr together; `control` is readable when it ended."""

    def __init__(self, supervisor: "SupervisorProcess", pid: int, output: int, mark: str) -> None:
        self.pid = pid
        self.output = output
        self._supervisor = supervisor
        self._mark = mark

    @property
    def control(self) -> socket.socket:
        """To wait on with select; then call `read_exit`."""
        return self._supervisor.control

    @property
    def parent(self) -> int:
        """Process id of its supervisor: all that the training starts are descendants of it, and nothing else is."""
        return self._supervisor.pid

    def kill(self) -> None:
        """Ask for the end of the training and all it started; `read_exit` tells when it is done."""
        self._supervisor.send({"op": "kill"})

    def read_exit(self) -> Exit:
        """How it ended; waits for that."""
        frame = self._supervisor.receive()
        if frame is None:
            _kill_marked(self.pid, self._mark)
            return Exit(code=None)
        return Exit(
            code=frame["status"], timed_out=frame["timed_out"], peak_bytes=frame["peak_bytes"], cpu_s=frame["cpu_s"]
        )

    def close(self) -> None:
        """Let go of the output pipe."""
        os.close(self.output)


class SupervisorProcess:
    """A supervisor of this process's own, used for one training after another."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # pkgutil, because on executors this package lies in a zip that a new interpreter knows nothing of.
        source = pkgutil.get_data("tuning_service.runner", "supervisor.py")
        assert source is not None
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-", str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(source)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """False once it died, or when this process was forked from the one that started it."""
        return self.owner == os.getpid() and self._process.poll() is None

    def start(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: str,
        *,
        time_limit_s: float | None = None,
        remove: str = "",
    ) -> Training:
        """A training of `argv` in `folder`, killed after `time_limit_s`.

        `remove` is a folder to delete in case this process dies before the training ends.

        Raises:
            CouldNotStart: there is no such program, or it cannot be executed.
            EOFError, OSError: the supervisor is gone.
        """
        mark = os.urandom(8).hex()
        ours, theirs = os.pipe()
        started = False
        try:
            with contextlib.suppress(AttributeError, OSError):
                # Room for what is printed while a slow service is being spoken to. Linux only.
                fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            frame = {
                "op": "start",
                "argv": list(argv),
                "env": {**environment, _MARK: mark},
                "cwd": folder,
                "time_limit_s": time_limit_s,
                "grace_s": GRACE_S,
                "remove": remove,
            }
            self.send(frame, theirs)
            answer = self.receive()
            if answer is None:
                raise EOFError("the supervisor ended")
            if answer["event"] == "refused":
                raise CouldNotStart(answer["errno"], answer["message"])
            started = True
            return Training(self, answer["pid"], ours, mark)
        finally:
            os.close(theirs)
            if not started:
                os.close(ours)

    def send(self, frame: Mapping[str, object], descriptor: int | None = None) -> None:
        """Send one frame. A supervisor that is gone is noticed by `receive`, except while it is to get a descriptor."""
        body = json.dumps(frame).encode()
        head = struct.pack("!I", len(body))
        if descriptor is not None:
            socket.send_fds(self.control, [head], [descriptor])
            self.control.sendall(body)
            return
        with contextlib.suppress(OSError):
            self.control.sendall(head + body)

    def receive(self) -> dict[str, Any] | None:
        """The next frame, or None when the supervisor is gone."""
        try:
            head = self._read_exactly(4)
            frame: dict[str, Any] = json.loads(self._read_exactly(struct.unpack("!I", head)[0]))
        except (EOFError, OSError):
            return None
        return frame

    def _read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.control.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def close(self) -> None:
        """End it, and whatever it still runs."""
        self.control.close()
        if self.owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)


_idle: list[SupervisorProcess] = []
_lock = threading.Lock()


def borrow() -> SupervisorProcess:
    """An idle supervisor of this process, or a new one. Hand it back with `give_back`."""
    with _lock:
        while _idle:
            supervisor = _idle.pop()
            if supervisor.usable:
                return supervisor
            supervisor.close()
    return SupervisorProcess()


def give_back(supervisor: SupervisorProcess) -> None:
    """Keep a supervisor without a training for the next one."""
    with _lock:
        _idle.append(supervisor)


def close_idle() -> None:
    """End all idle supervisors. They would end with this process anyway."""
    with _lock:
        while _idle:
            _idle.pop().close()


def _kill_marked(group: int, mark: str, deadline_s: float = 2.0) -> None:
    """Kill what a killed supervisor left: the training's group, and all that have `mark` in their environment."""
    needle = f"{_MARK}={mark}".encode()
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        found = _marked(needle)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _marked(needle: bytes) -> list[int]:
    found = []
    for path in Path("/proc").glob("[1-9]*/environ"):
        # Other users' processes cannot be read, and are none of ours.
        with contextlib.suppress(OSError):
            if needle in path.read_bytes():
                found.append(int(path.parent.name))
    return found
