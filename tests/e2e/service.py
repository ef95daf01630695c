"""A real deployment under test: processes of the service, and everything that they have started."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.machine import command_of, is_running, with_mark
from tests.waiting import wait_for
from tuning_service.client import TuningClient

_MARK = "UNDER_TEST"  # not TUNING_…: the runner keeps those from trainings


class Deployment:
    """Processes of one deployment. All that they start carries a mark in its environment, to find it by."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        defaults = {"PORT": 0, "DATA_DIR": folder / "data", "LOG_FORMAT": "json", "SPARK_MASTER": "local[2]"}
        defaults["PLUGINS_DIR"] = folder / "plugins"  # the repository's examples would be installed each time
        self.settings: dict[str, object] = defaults | settings
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""
        self.operator_key = ""

    def _environment(self) -> dict[str, str]:
        # What a training inherits must not depend on who runs the tests.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TUNING_")}
        ours = {f"TUNING_SERVICE_{name}": str(value) for name, value in self.settings.items()}
        return inherited | ours | {_MARK: self.mark, "PYTHONPATH": str(Path(__file__).parents[2])}

    def command(self, *arguments: str) -> str:
        """What a command of the service prints."""
        command = [sys.executable, "-m", "tuning_service", *arguments]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, command: str = "serve", *options: str) -> subprocess.Popen[bytes]:
        """Start a process of the service and wait until it says that it is ready."""
        process, ready = self.begin(command, *options)
        log = self.log_of(len(self._processes) - 1)
        wait_for(lambda: ready.exists() or process.poll() is not None, within_s=60, what=f"{command} ready")
        assert ready.exists(), log_text(log)
        news = json.loads(ready.read_text())
        self.url = news["url"]
        self.operator_key = news.get("operator_key") or self.operator_key
        return process

    def begin(self, command: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a process of the service; the file is there once it is ready."""
        ready = self.folder / f"{command}-{len(self._processes)}.json"
        with self.log_of(len(self._processes)).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tuning_service", command, "--ready-file", str(ready), *options],
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        return process, ready

    def log_of(self, index: int) -> Path:
        """Where the index-th process writes its log."""
        return self.folder / f"service-{index}.log"

    def log(self) -> str:
        """All logs so far."""
        return "\n".join(log_text(self.log_of(i)) for i in range(len(self._processes)))

    def tenant(self, name: str, *, max_parallel: int = 8) -> TuningClient:
        """A client with a member's key of a new tenant."""
        with TuningClient(self.url, self.operator_key) as operator:
            operator.create_tenant(name, max_parallel=max_parallel)
            secret = operator.create_key(name="tests", role="member", tenant=name)["secret"]
        return TuningClient(self.url, secret)

    def processes(self, *, containing: str = "") -> dict[int, str]:
        """Living processes of this deployment by pid, whose command line contains the text."""
        marked = with_mark(f"{_MARK}={self.mark}")
        commands = {pid: command_of(pid).replace(b"\0", b" ").decode(errors="replace") for pid in marked}
        return {pid: command for pid, command in commands.items() if containing in command and is_running(pid)}

    def stop(self) -> None:
        """End all processes, and make sure that nothing of them is left."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        left = None
        deadline = time.monotonic() + 15
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"left behind: {left}"


def log_text(path: Path) -> str:
    """The file's end."""
    return path.read_text(errors="replace")[-20_000:] if path.exists() else ""


@contextmanager
def deployed(folder: Path, **settings: object) -> Iterator[Deployment]:
    """A running embedded service that is stopped, with all it started, when the block ends."""
    deployment = Deployment(folder, **settings)
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.stop()


def job_file(command: str, space: dict[str, Any], **budget: object) -> dict[str, Any]:
    """A job over the programs beside this file."""
    return {
        "name": "under test",
        "framework": "pytorch",
        "program": str(Path(__file__).parent / "programs"),
        "command": command,
        "space": space,
        "objective": {"metric": "loss", "goal": "minimize"},
        "algorithm": {"name": "random"},
        "budget": {"trials": 4, "parallel": 2} | budget,
        "seed": 3,
    }


X = {"x": {"type": "float", "min": 0.0, "max": 1.0}}
