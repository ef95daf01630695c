"""A small program beside each worker process: it starts trainings, and sees to it that nothing of them remains.

Run by `python -I -S - <fd>` with this text on stdin, so it imports nothing of this package and little else. `<fd>` is
a stream socket to the worker; a frame on it is four bytes of length and a JSON object.

    worker -> supervisor   {"op": "start", "argv", "env", "cwd", "time_limit_s", "grace_s", "remove"}
                           with one file descriptor attached: stdout and stderr of the training
                           {"op": "kill"}
    supervisor -> worker   {"event": "started", "pid"} or {"event": "refused", "errno", "message"}
                           {"event": "exited", "status", "timed_out", "peak_bytes", "cpu_s"}; then no descendant of
                           the training is left. The last two are of all its processes: what the largest one had

One training at a time. When the socket closes, because the worker ended in whatever way, the training and all its
descendants are killed, the folder `remove` is deleted, and the supervisor exits.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_UNKILLABLE_S = 30.0  # a process that hangs in a device driver dies when the driver lets it; do not wait for that
_LINUX = sys.platform == "linux"


class Supervisor:
    """The event loop: frames from the worker, ends of children, the time limit."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        control.set_inheritable(False)  # a training that held it would keep the worker's end open
        self._main: int | None = None  # process id of the training while one runs
        self._deadline: float | None = None
        self._timed_out = False
        self._grace_s = 0.5
        self._remove = ""
        self._peak_bytes, self._cpu_s = 0, 0.0  # of the training's processes that have ended
        self._prctl = _find_prctl()
        if self._prctl is not None:
            # Daemons that fork twice become children of this process instead of init's, so none can get away.
            self._prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE"):
            # A signal to the worker's group or terminal must not take away the one who cleans up.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Returns when the worker is gone and nothing is left."""
        while True:
            timeout = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            waited: list[Any] = [self._control, self._woken]
            ready, _, _ = select.select(waited, [], [], timeout)
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            self._reap()
            if self._control in ready and not self._read_frame():
                break
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._timed_out = True
                self._end_training()
        self._end_training(tell=False)
        if self._remove:
            import shutil  # slow to import, and needed on this path only

            shutil.rmtree(self._remove, ignore_errors=True)

    def _read_frame(self) -> bool:
        try:
            head, descriptors, _, _ = socket.recv_fds(self._control, 4, 1)
            body = self._read_exactly(struct.unpack("!I", self._read_exactly(4, head))[0])
        except (EOFError, OSError):
            return False
        frame = json.loads(body)
        if frame["op"] == "start":
            self._start(frame, descriptors[0])
        elif self._main is not None:
            self._end_training()
        return True

    def _read_exactly(self, count: int, have: bytes = b"") -> bytes:
        parts, size = [have], len(have)
        while size < count:
            part = self._control.recv(min(count - size, 65536))
            if not part:
                raise EOFError
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _send(self, **frame: object) -> None:
        body = json.dumps(frame).encode()
        with contextlib.suppress(OSError):  # the worker is gone: the next read of the socket says so too
            self._control.sendall(struct.pack("!I", len(body)) + body)

    def _start(self, frame: dict[str, Any], output: int) -> None:
        self._grace_s, self._remove = frame["grace_s"], frame["remove"]
        # Closed by a successful exec; otherwise the child writes why not.
        failure, report = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            self._become_training(frame, output, report, parent)
        os.close(output)
        os.close(report)
        with os.fdopen(failure, "rb") as stream:
            message = stream.read()
        if message:
            os.waitpid(child, 0)
            code, _, text = message.decode(errors="replace").partition(" ")
            self._send(event="refused", errno=int(code), message=text)
            return
        self._main, self._timed_out = child, False
        self._peak_bytes, self._cpu_s = 0, 0.0
        limit = frame["time_limit_s"]
        self._deadline = None if limit is None else time.monotonic() + limit
        self._send(event="started", pid=child)

    def _become_training(self, frame: dict[str, Any], output: int, report: int, parent: int) -> None:
        try:
            os.setsid()
            if self._prctl is not None:
                self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != parent:  # it died between fork and prctl
                    os._exit(1)
            for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE", "SIGCHLD"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            os.chdir(frame["cwd"])
            os.execvpe(frame["argv"][0], frame["argv"], frame["env"])  # noqa: S606 - no shell is the point
        except OSError as error:
            os.write(report, f"{error.errno} {error.strerror}".encode())
        except ValueError as error:  # a null byte in an argument, a name with '=' in the environment
            os.write(report, f"0 {error}".encode())
        finally:
            os._exit(127)

    def _reap(self) -> bool:
        """True when children are left. Tells the worker when the training's main process has ended."""
        while True:
            try:
                pid, status = self._wait()
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._main:
                self._main, self._deadline = None, None
                self._end_descendants(pid)
                self._exited(os.waitstatus_to_exitcode(status))

    def _wait(self) -> tuple[int, int]:
        """Process id and status of a child that has ended; 0 when none has. Raises ChildProcessError without any."""
        pid, status, used = os.wait4(-1, os.WNOHANG)
        if pid:
            # A child's figures have those of the children that it has waited for.
            self._peak_bytes = max(self._peak_bytes, used.ru_maxrss * (1024 if _LINUX else 1))
            self._cpu_s += used.ru_utime + used.ru_stime
        return pid, status

    def _exited(self, status: int | None) -> None:
        used = {"peak_bytes": self._peak_bytes, "cpu_s": round(self._cpu_s, 3)}
        self._send(event="exited", status=status, timed_out=self._timed_out, **used)

    def _end_training(self, *, tell: bool = True) -> None:
        """Ends main process and descendants; `tell` the worker of the exit."""
        main, self._main, self._deadline = self._main, None, None
        if main is None:
            self._end_descendants(None)
            return
        status = self._end_descendants(main)
        if tell:
            self._exited(status)

    def _end_descendants(self, main: int | None) -> int | None:
        """Returns when no descendant is left: asked to end first, killed after the grace. The exit code of `main`."""
        code: int | None = None
        begun = time.monotonic()
        deadline = begun + self._grace_s
        asked: set[int] = set()
        pause_s = 0.002
        while True:
            alive = True
            while alive:
                try:
                    pid, status = self._wait()
                except ChildProcessError:
                    # Nothing can be left, for an orphan would have become a child. Where there is no subreaper,
                    # the training's own group is all that can be found.
                    if not _LINUX and main is not None:
                        _signal_group(main, signal.SIGKILL)
                    return code
                if pid == main:
                    code = os.waitstatus_to_exitcode(status)
                alive = pid != 0
            if time.monotonic() > begun + _UNKILLABLE_S:
                return code
            if time.monotonic() < deadline:
                fresh = _descendants() - asked
                _signal_all(fresh, signal.SIGTERM)
                asked |= fresh
            else:
                _kill_all()
            if not _LINUX and main is not None:
                _signal_group(main, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.02)


def _find_prctl() -> Any:
    if not _LINUX:
        return None
    try:
        import ctypes  # absent from some minimal builds

        function = ctypes.CDLL(None, use_errno=True).prctl
        function.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    except (ImportError, OSError, AttributeError):
        return None
    return function


def _descendants() -> set[int]:
    """All living descendants of this process, found in /proc; empty where there is none."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib would double the start-up time
    except OSError:
        return set()
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                # The command's name stands in brackets and may itself hold anything, brackets too.
                fields = stream.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in {b"Z", b"X"}:
            children.setdefault(int(fields[1]), []).append(int(name))
    found: set[int] = set()
    rest = [os.getpid()]
    while rest:
        fresh = [pid for pid in children.get(rest.pop(), ()) if pid not in found]
        found.update(fresh)
        rest += fresh
    return found


def _kill_all() -> None:
    """Stops all descendants before it kills them, so that none can fork away from under its murderer."""
    stopped: set[int] = set()
    for _ in range(50):
        fresh = _descendants() - stopped
        if not fresh:
            break
        _signal_all(fresh, signal.SIGSTOP)
        stopped |= fresh
    _signal_all(stopped, signal.SIGKILL)


def _signal_all(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(leader, number)


if __name__ == "__main__":
    Supervisor(socket.socket(fileno=int(sys.argv[1]))).serve()
