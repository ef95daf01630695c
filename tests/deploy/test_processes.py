"""What docker-compose.yml starts, started by hand: it tunes, and a manager that dies is not missed."""

import json
from pathlib import Path

import pytest

from tests.deploy.stack import Stack
from tests.e2e.service import X, job_file
from tests.waiting import wait_for
from tuning_service.client import TuningClient

pytestmark = [pytest.mark.spark, pytest.mark.heavy, pytest.mark.timeout(600)]


def test_the_processes_of_compose_tune_and_one_manager_may_die(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "recovery").mkdir()
    with Stack(tmp_path, postgres_url.replace("postgresql+psycopg", "postgresql")) as stack:
        stack._service = "manager"
        stack.operator_key = json.loads(stack.command("key", "create", "--operator", "first", "--json"))["secret"]
        stack.url = stack.manager_url(1)
        with stack.tenant("acme") as client, TuningClient(stack.url, stack.operator_key) as operator:
            # A worker for each replica, each an executor with all of its cores.
            wait_for(lambda: operator.pool("default")["cpus"] == 2, within_s=120, what="the executors")
            job = client.submit(job_file("python slow.py --steps 15", X, trials=8, parallel=2))
            wait_for(lambda: client.job(job["id"])["progress"]["completed"] >= 2, within_s=120)
            assert all(stack.balancer.served.values()), "both managers had a part in it"

            assert any((tmp_path / "recovery").glob("app_*")), "the master keeps what it knows"
            killed = stack.processes_of["manager"][0]
            killed.kill()
            killed.wait()
            done = client.wait(job["id"], timeout_s=180)
            assert done["status"] == "completed"
            assert done["progress"]["completed"] == 8
            for number in range(8):
                assert [t["status"] for t in client.trial(job["id"], number)["tasks"]] == ["succeeded"]
                steps = [point["step"] for point in client.measurements(job["id"], number, metric="loss")]
                assert steps == list(range(15))
                # Programs and logs are in the folder that managers share.
                assert client.log(job["id"], number).count("step=") == 15
    assert any((tmp_path / "artifacts").rglob("logs"))
