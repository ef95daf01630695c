"""Managers and controllers as processes of their own on PostgreSQL, each of which may die, or only seem to."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Deployment, X, job_file
from tests.machine import free_port
from tests.spark_cluster import StandaloneCluster
from tests.waiting import wait_for
from tuning_service.client import TuningClient

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


@pytest.fixture
def deployment(tmp_path: Path, postgres_url: str) -> Iterator[Deployment]:
    """A manager, without a controller yet."""
    port = free_port()
    made = Deployment(
        tmp_path,
        DATABASE_URL=postgres_url,
        PORT=port,
        SERVICE_URL=f"http://127.0.0.1:{port}",
        LEASE_S=3,
        LOG_FORMAT="json",
    )
    try:
        made.command("db", "upgrade")
        made.operator_key = json.loads(made.command("key", "create", "--operator", "first", "--json"))["secret"]
        made.start("manager")
        yield made
    finally:
        made.stop()


def test_a_manager_that_is_killed_gets_the_reports_when_it_is_back(deployment: Deployment, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    deployment.start("controller")
    with deployment.tenant("acme") as client:
        job = client.submit(job_file(f"python slow.py --steps 10 --wait-for {gate}", X, trials=2, parallel=2))
        wait_for(lambda: _measured(client, job["id"]) == 2, within_s=60)
        manager = next(iter(deployment.processes(containing="tuning_service manager")))
        os.kill(manager, signal.SIGKILL)

        # The trainings end while nobody hears of it.
        assert len(deployment.processes(containing="slow.py")) >= 2, "the trainings go on"
        gate.touch()
        wait_for(lambda: not deployment.processes(containing="slow.py"), within_s=30)

        deployment.start("manager")
        done = client.wait(job["id"], timeout_s=60)
        assert done["status"] == "completed"
        for number in (0, 1):
            assert [task["status"] for task in client.trial(job["id"], number)["tasks"]] == ["succeeded"]
            steps = [point["step"] for point in client.measurements(job["id"], number, metric="loss")]
            assert steps == list(range(10))
            assert client.log(job["id"], number).count("step=") == 10


def test_another_controller_takes_over_and_one_that_slept_does_not_write(deployment: Deployment) -> None:
    first = deployment.start("controller")
    with deployment.tenant("acme") as client:
        job = client.submit(job_file("python slow.py --steps 20", X, trials=12, parallel=2))
        wait_for(lambda: client.job(job["id"])["progress"]["completed"] >= 2, within_s=60)
        second = deployment.start("controller")

        # Asleep for longer than its lease lasts: to everybody else it is dead.
        os.kill(first.pid, signal.SIGSTOP)
        slept = time.monotonic()
        before = client.job(job["id"])["progress"]["completed"]
        wait_for(lambda: client.job(job["id"])["progress"]["completed"] >= before + 2, within_s=60)
        assert time.monotonic() - slept < 30
        os.kill(first.pid, signal.SIGCONT)
        wait_for(lambda: '"lease lost"' in deployment.log_of(1).read_text(), what="the first one finds its lease gone")

        # And the second one dies for good.
        os.kill(second.pid, signal.SIGKILL)
        done = client.wait(job["id"], timeout_s=120)
        assert done["status"] == "completed"
        assert done["progress"]["completed"] == 12
        assert [t["number"] for t in client.trials(job["id"], sort="number")] == list(range(12))
        ends: dict[int, int] = {}
        for event in client.events(job["id"]):
            if event["event"] == "trial" and event["data"]["status"] == "completed":
                ends[event["data"]["number"]] = ends.get(event["data"]["number"], 0) + 1
        assert ends == dict.fromkeys(range(12), 1)
        for number in range(12):
            statuses = [task["status"] for task in client.trial(job["id"], number)["tasks"]]
            assert statuses[-1] == "succeeded"
            assert set(statuses[:-1]) <= {"lost"}
        assert "Traceback" not in deployment.log()


@pytest.mark.heavy
def test_a_controller_that_gets_no_executors_leaves_the_jobs_to_the_one_that_has_them_all(
    deployment: Deployment,
) -> None:
    with StandaloneCluster(workers=1, gpus=0) as cluster, deployment.tenant("acme") as client:
        conf = {k: v for k, v in cluster.conf.items() if "gpu" not in k}  # and no spark.cores.max
        with TuningClient(deployment.url, deployment.operator_key) as operator:
            operator.change_pool("default", master=cluster.master, conf=conf)
            deployment.settings |= {"SPARK_PYTHON": sys.executable}
            del deployment.settings["SPARK_MASTER"]
            first = deployment.start("controller")

            def controllers() -> dict[int, dict[str, Any]]:
                return {c["pid"]: c for c in operator.pool("default")["controllers"]}

            wait_for(lambda: any(c["cpus"] for c in controllers().values()), within_s=90)
            second = deployment.start("controller")
            wait_for(lambda: "spark.cores.max" in controllers().get(second.pid, {}).get("problem", ""), within_s=90)
            jobs = [client.submit(job_file("python quick.py", X, trials=2, parallel=2)) for _ in range(3)]
            for job in jobs:
                assert client.wait(job["id"], timeout_s=90)["status"] == "completed"
                assert client.job(job["id"])["progress"]["completed"] == 2
            # The first one dies; its executors' cores are the second one's before long.
            last = client.submit(job_file("python slow.py --steps 20", X, trials=4, parallel=2))
            wait_for(lambda: _measured(client, last["id"]), within_s=60)
            os.killpg(first.pid, signal.SIGKILL)
            assert client.wait(last["id"], timeout_s=120)["status"] == "completed"
            assert controllers()[second.pid]["problem"] == ""


def _measured(client: TuningClient, job_id: str) -> int:
    """How many trials have reported something: their trainings have begun."""
    return sum(bool(client.measurements(job_id, trial["number"])) for trial in client.trials(job_id))
