"""The service as its users meet it: started by its command, asked over its REST API by its own client."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.throughput.contender import HIGH, LOW, NOOP_FOLDER, RunTrials
from tuning_service.client import TuningClient

_START_S = 120.0
_STOP_S = 30.0
_SPACE = {"x": {"type": "float", "min": LOW, "max": HIGH}}
SEED = 1


class Service:
    """The service, started by its command; `start` after a `kill` finds what the former process left."""

    def __init__(self, slots: int, folder: Path, log: Path | None = None) -> None:
        """It runs when this returns. `folder` keeps its data; what it logs goes to `log`, or where ours goes."""
        self._slots, self._folder, self._log = slots, folder, log
        self._port = 0
        self.url = self.operator_key = ""
        self.start()

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return self._process.pid

    def start(self) -> None:
        """A process serves, at the same address as an earlier one.

        Raises:
            RuntimeError, TimeoutError: it ended, or was not ready in time.
        """
        ready = self._folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tuning_service", "serve", "--port", str(self._port)]
        command += ["--data-dir", str(self._folder / "data"), "--ready-file", str(ready)]
        command += ["--master", f"local[{self._slots}]"]
        # `python noop.py` is to be the interpreter that every other contender spawns.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with self._log.open("ab") if self._log else contextlib.nullcontext() as sink:
            self._process = subprocess.Popen(command, env=os.environ | {"PATH": path}, stdout=sink, stderr=sink)
        try:
            found = _wait_ready(self._process, ready)
        except BaseException:
            self.stop()
            raise
        self.url = found["url"]
        self.operator_key = found["operator_key"]
        self._port = int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """As when the machine's memory runs out."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """It has ended, in its own way if it can."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()


def member(service: Service) -> TuningClient:
    """The client of a new tenant's member."""
    operator = TuningClient(service.url, service.operator_key)
    operator.create_tenant("bench", max_parallel=64)
    return TuningClient(service.url, operator.create_key(name="bench", role="member", tenant="bench")["secret"])


@contextlib.contextmanager
def ours(slots: int, folder: Path) -> Iterator[RunTrials]:
    """A job per call; measured from its submission to the moment the client sees that it has ended."""
    service = Service(slots, folder)
    try:
        client = member(service)

        def run(trials: int) -> int:
            job = client.submit(noop_job("noop.py", _SPACE, "random", trials, slots), program=NOOP_FOLDER)
            ended = client.wait(job["id"], poll_s=0.1)
            return int(ended["progress"]["completed"])

        yield run
    finally:
        service.stop()


def noop_job(script: str, space: dict[str, Any], algorithm: str, trials: int, slots: int) -> dict[str, Any]:
    """A job file for a program of one script that prints `loss=…`."""
    return {
        "name": "noop",
        "framework": "pytorch",
        "command": f"python {script}",
        "space": space,
        "objective": {"metric": "loss", "goal": "minimize"},
        "algorithm": {"name": algorithm},
        "budget": {"trials": trials, "parallel": slots},
        "seed": SEED,
    }


def _wait_ready(service: subprocess.Popen[bytes], ready: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise RuntimeError(f"the service ended with status {service.returncode} before it was ready")
        if ready.exists():
            found: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
            return found
        time.sleep(0.1)
    raise TimeoutError(f"the service was not ready after {_START_S:.0f} s")
