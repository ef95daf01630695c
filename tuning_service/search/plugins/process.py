"""The child process of one plug-in, as the host's thread for it sees it.

A supervisor (`runner/supervisor.py`) starts it, so that all its descendants end with it, and with the service however
that ends. Questions and answers go over a socket in the process's working folder; what it prints is read while it
runs, and the end of it kept.
"""

import contextlib
import fcntl
import json
import os
import select
import selectors
import shutil
import signal
import socket
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuning_service.runner.training import CouldNotStart, SupervisorProcess, Training
from tuning_service.search.messages import encode
from tuning_service.search.plugins.cache import PreparedPlugin
from tuning_service.search.plugins.environment import service_home
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.search.process import ChildDied, ChildTimedOut

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# What is read of it may take twenty times as much memory here.
_MOST_ANSWER = 8 * 2**20
_PIECE = 65_536
_BLOCK = 4096
# How often its folder is looked at while an answer is awaited.
_LOOK_S = 1.0
# How long its end may take once it is told, before it is ended over its supervisor's head.
_END_S = 5.0


class PluginProcess:
    """A process that answers one question at a time, with the calls of `process.ChildProcess`.

    `source` makes the plug-in ready and may take minutes; it is called before each start. `start` and `ask` are called
    from one thread, `kill` and `close` from any.
    """

    def __init__(self, source: Callable[[], PreparedPlugin], limits: PluginLimits) -> None:
        self.starts = 0
        self.pid: int | None = None
        self._source = source
        self._limits = limits
        self._running: _Running | None = None
        self._printed = b""  # of the process before
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self) -> None:
        """A process runs, a new one if need be.

        Raises:
            ChildDied: it ended before it could be asked.
            OSError: the machine cannot start one.
            and what `source` raises.
        """
        if self._running is not None:
            return
        plugin = self._source()
        with self._lock:
            if self._is_closed:
                raise ChildDied("it was shut down")
            running = self._running = _Running(plugin, self._limits)
        self.starts += 1
        try:
            self.pid = running.launch()
        except (ChildDied, ChildTimedOut, OSError):
            self._end()
            raise

    def ask(self, question: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The answer to `question`. Raises ChildDied, ChildTimedOut: no answer; the process is gone."""
        running = self._running
        if running is None:
            raise ChildDied("it was not started")
        try:
            answer = running.converse(encode(question), time.monotonic() + timeout_s)
        except (ChildDied, ChildTimedOut):
            self._end()
            raise
        return answer

    def kill(self) -> None:
        """The process and all that it started will end at once; an `ask` in progress raises ChildDied."""
        running = self._running
        if running is not None:
            running.kill()

    def close(self) -> None:
        """No process runs soon, nor ever will."""
        with self._lock:
            self._is_closed = True
        self.kill()

    def release(self) -> None:
        """Nothing of it is left. The last call, when no other is under way."""
        self._end()

    def last_words(self) -> str:
        """The end of what it printed."""
        running = self._running
        kept = self._printed if running is None else running.printed()
        return kept.decode(errors="replace").strip()

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end()
            self._printed = running.printed()


class _Running:
    """One start of the process: its folder, its channel, its output."""

    def __init__(self, plugin: PreparedPlugin, limits: PluginLimits) -> None:
        self._plugin = plugin
        self._limits = limits
        self._supervisor = SupervisorProcess()
        self._folder = tempfile.mkdtemp(prefix="tuning-plugin-")
        self._training: Training | None = None
        self._channel: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._reading = threading.Lock()
        self._kept = bytearray()
        self._dropped = 0
        self._killed = False

    def launch(self) -> int:
        """Its process id, once it has connected. Raises ChildDied, ChildTimedOut, OSError."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            # Through a descriptor of the folder, because the whole path may be too long for a socket's name.
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                listener.bind(f"/proc/self/fd/{folder}/channel")
            finally:
                os.close(folder)
            listener.listen(1)
            try:
                training = self._supervisor.start(self._argv(), self._environment(), self._folder, remove=self._folder)
            except CouldNotStart as error:
                raise OSError(error.number, str(error)) from None
            except EOFError as error:
                raise OSError(0, str(error)) from None
            self._training = training
            if self._killed:
                training.kill()
            self._reader = threading.Thread(target=self._drain, args=(training.output,), daemon=True)
            self._reader.start()
            ready = _readable(self._limits.start_s, listener, training.control)
            if listener not in ready:
                raise ChildDied(self._how_it_ended()) if ready else ChildTimedOut
            self._channel = listener.accept()[0]
        return training.pid

    def _argv(self) -> list[str]:
        start = {
            "folder": str(self._plugin.folder),
            "manifest": self._plugin.manifest.to_json(),
            "memory_bytes": self._limits.memory_bytes,
            "file_bytes": self._limits.file_bytes,
            "answer_s": self._limits.answer_s,
        }
        return [self._plugin.python, "-m", "tuning_service.search.plugins.child", json.dumps(start)]

    def _environment(self) -> dict[str, str]:
        own = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict.fromkeys(_THREADS, "1")
        own |= {"HOME": self._folder, "TMPDIR": self._folder, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        # An environment of its own finds the service behind its own packages; in front they would hide them.
        return own if self._plugin.own_environment else own | {"PYTHONPATH": service_home()}

    def converse(self, line: bytes, deadline: float) -> dict[str, Any]:
        assert self._channel is not None
        try:
            self._send(line, deadline)
            answer = json.loads(self._receive(deadline))
            self._check_folder()
        except TimeoutError:
            raise ChildTimedOut from None
        except (OSError, EOFError):
            raise ChildDied(self._how_it_ended()) from None
        except (ValueError, RecursionError):
            raise ChildDied("what it sent is no answer") from None
        if not isinstance(answer, dict):
            raise ChildDied("what it sent is no answer")
        return answer

    def _send(self, line: bytes, deadline: float) -> None:
        assert self._channel is not None
        self._channel.settimeout(max(0.001, deadline - time.monotonic()))
        self._channel.sendall(line)

    def _receive(self, deadline: float) -> bytes:
        assert self._channel is not None
        data = bytearray()
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            self._channel.settimeout(max(0.001, min(_LOOK_S, left)))
            try:
                piece = self._channel.recv(_PIECE)
            except TimeoutError:
                if left <= _LOOK_S:
                    raise
                self._check_folder()
                continue
            if not piece:
                raise EOFError
            data += piece
            if len(data) > _MOST_ANSWER:
                raise ValueError("too long")
        return bytes(data)

    def _check_folder(self) -> None:
        """Raises ChildDied when it has filled its folder: the disk is everybody's."""
        most = self._limits.folder_bytes
        if _bytes_below(self._folder, most) > most:
            raise ChildDied(f"its files had more than {most / 2**30:.3g} GiB")

    def _drain(self, output: int) -> None:
        """Read what is printed, so that it blocks nobody, and keep the end."""
        waiting = select.poll()
        waiting.register(output, select.POLLIN)
        with contextlib.suppress(OSError):
            while waiting.poll():
                with self._reading:
                    piece = os.read(output, _PIECE)
                    self._kept += piece
                    surplus = len(self._kept) - self._limits.output_bytes
                    if surplus > 0:
                        self._dropped += surplus
                        del self._kept[:surplus]
                if not piece:
                    break

    def printed(self) -> bytes:
        """The end of what was printed, and how much is missing."""
        deadline = time.monotonic() + _LOOK_S
        # An answer may overtake what was printed before it.
        while self._training is not None and self._has_unread(self._training.output) and time.monotonic() < deadline:
            time.sleep(0.005)
        note = f"[… {self._dropped} bytes before this …]\n".encode() if self._dropped else b""
        return note + bytes(self._kept)[-self._limits.output_bytes + len(note) :]

    def _has_unread(self, output: int) -> bool:
        with self._reading:
            return any(fcntl.ioctl(output, termios.FIONREAD, bytes(4)))

    def _how_it_ended(self) -> str:
        assert self._training is not None
        # An end of its own shows its own exit code; one that has only closed the connection has to be ended.
        if not _readable(1.0, self._training.control):
            return "it closed its connection to the service"
        code = self._training.read_exit().code
        self._training_ended()
        if code is not None and code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        if code is None:
            return "the process that watches over it was killed"
        return f"it ended with exit code {code}"

    def _training_ended(self) -> None:
        training, self._training = self._training, None
        if training is not None:
            if self._reader is not None:
                self._reader.join(5)
            training.close()

    def kill(self) -> None:
        self._killed = True
        training = self._training
        if training is not None:
            training.kill()

    def end(self) -> None:
        """Returns when nothing of it is left."""
        training = self._training
        if training is not None:
            training.kill()
            if not _readable(_END_S, training.control):  # the plug-in has stopped who watches over it
                os.kill(self._supervisor.pid, signal.SIGKILL)
            training.read_exit()
            self._training_ended()
        if self._channel is not None:
            self._channel.close()
        self._supervisor.close()
        shutil.rmtree(Path(self._folder), ignore_errors=True)


def _bytes_below(folder: str, enough: int) -> int:
    """What the files in `folder` take on the disk, a block each at least, counted not far beyond `enough`."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it was removed meanwhile
                total += max(_BLOCK, (Path(root) / name).lstat().st_blocks * 512)
        if total > enough:
            break
    return total


def _readable(timeout_s: float, *sockets: socket.socket) -> list[socket.socket]:
    """Those that can be read, as soon as one can."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ, one)
        return [key.data for key, _ in selector.select(timeout_s)]
