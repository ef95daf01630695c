"""The service as its users meet it: started by its command, asked over its REST API by its own client."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.throughput.contender import HIGH, LOW, NOOP_FOLDER, RunTrials
from tuning_service.client import TuningClient

_START_S = 120.0
_STOP_S = 30.0


@contextmanager
def ours(slots: int, folder: Path) -> Iterator[RunTrials]:
    """A job per call; measured from its submission to the moment the client sees that it has ended."""
    with _service(slots, folder) as ready:
        operator = TuningClient(ready["url"], ready["operator_key"])
        operator.create_tenant("bench", max_parallel=64)
        key = operator.create_key(name="bench", role="member", tenant="bench")["secret"]
        client = TuningClient(ready["url"], key)

        def run(trials: int) -> int:
            job = client.submit(_job(trials, slots), program=NOOP_FOLDER)
            ended = client.wait(job["id"], poll_s=0.1)
            return int(ended["progress"]["completed"])

        yield run


def _job(trials: int, slots: int) -> dict[str, Any]:
    return {
        "name": "noop",
        "framework": "pytorch",
        "command": "python noop.py",
        "space": {"x": {"type": "float", "min": LOW, "max": HIGH}},
        "objective": {"metric": "loss", "goal": "minimize"},
        "algorithm": {"name": "random"},
        "budget": {"trials": trials, "parallel": slots},
        "seed": 1,
    }


@contextmanager
def _service(slots: int, folder: Path) -> Iterator[dict[str, Any]]:
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "tuning_service", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    command += ["--ready-file", str(ready), "--master", f"local[{slots}]"]
    # `python noop.py` is to be the interpreter that every other contender spawns.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    service = subprocess.Popen(command, env=os.environ | {"PATH": path})
    try:
        yield _wait_ready(service, ready)
    finally:
        service.send_signal(signal.SIGTERM)
        try:
            service.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


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
