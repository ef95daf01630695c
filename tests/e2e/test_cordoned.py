"""A cordoned executor, with the real service, real Spark and real runners."""

import socket
from pathlib import Path

import pytest

from tests.e2e.service import X, deployed, job_file
from tests.waiting import wait_for
from tuning_service.client import TuningClient

pytestmark = [pytest.mark.spark, pytest.mark.heavy, pytest.mark.timeout(300)]


def test_no_trial_begins_on_a_cordoned_executor_and_all_begin_when_it_is_uncordoned(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        host = socket.gethostname()
        with TuningClient(deployment.url, deployment.operator_key) as operator:
            operator.cordon("default", host, "new disk")
            job = client.submit(job_file("python quick.py", X, trials=4, parallel=2))
            told = f"Waits: the executors that are free are cordoned: {host} (new disk)."
            wait_for(lambda: client.job(job["id"])["reason"] == told, within_s=90, what="it says so")
            tasks = [t for trial in client.trials(job["id"]) for t in client.trial(job["id"], trial["number"])["tasks"]]
            assert {t["outcome"]["failure"] for t in tasks if t["outcome"]} == {"cordoned"}
            assert not deployment.processes(containing="quick.py")
            operator.uncordon("default", host)
        assert client.wait(job["id"], timeout_s=120)["status"] == "completed"
        assert client.job(job["id"])["progress"]["completed"] == 4
