"""The driver's side of `probe_tasks`: hands out tickets, reads what the tasks left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_for
from tuning_service.compute.base import ComputeBackend, HandleStatus
from tuning_service.domain.job import Resources
from tuning_service.runner.protocol import TaskTicket

PROBE_FILE = Path(__file__).with_name("probe_tasks.py")
RUN = "probe_tasks:run"
SHIP_PROBES = {"spark.submit.pyFiles": str(PROBE_FILE)}


class Probes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def ticket(self, name: str, **order: Any) -> TaskTicket:
        """`wait=True`: until `release`; `exit=9`: attempt 0 ends its Python worker; `raise="text"`: it raises that."""
        token = json.dumps({"folder": str(self.folder), **order})
        return TaskTicket(task_id=name, token=token, service_url="http://127.0.0.1:1")

    def seen(self, name: str, attempt: int = 0, seconds: float = 60) -> dict[str, Any]:
        """What that attempt saw, once it runs."""
        file = self.folder / f"{name}.{attempt}.json"
        wait_for(file.exists, f"{file.name} to be written", within_s=seconds)
        return json.loads(file.read_text())

    def release(self, name: str = "") -> None:
        """Lets one waiting task end, or all."""
        (self.folder / (f"{name}.go" if name else "go")).touch()


@pytest.fixture
def probes(tmp_path: Path) -> Iterator[Probes]:
    probes = Probes(tmp_path / "probes")
    yield probes
    probes.release()  # whatever a failed test left waiting


def run_all(backend: ComputeBackend, tickets: list[TaskTicket], resources: Resources | None = None) -> None:
    """Submits, and returns when all have ended."""
    backend.submit(tickets, resources or Resources())
    wait_status(backend, [t.task_id for t in tickets], HandleStatus.ENDED)


def wait_status(backend: ComputeBackend, names: list[str], status: HandleStatus, seconds: float = 60) -> None:
    wait_for(lambda: set(backend.poll(names).values()) == {status}, f"{names} to be {status}", within_s=seconds)
