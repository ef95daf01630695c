"""CPUs and GPUs of a trial, on local Spark and on a real standalone cluster, with processes apart and PostgreSQL."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.service import Deployment, X, deployed, job_file
from tests.spark_cluster import StandaloneCluster
from tests.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


def test_local_trials_get_the_cpus_and_gpus_they_asked_for(tmp_path: Path) -> None:
    with (
        deployed(tmp_path, SPARK_MASTER="local[4]", LOCAL_GPUS="4,5") as deployment,
        deployment.tenant("acme") as client,
    ):
        whole = job_file("python slow.py --steps 8", X, trials=2, parallel=2) | {"resources": {"cpus": 2, "gpus": 1}}
        done = client.wait(client.submit(whole)["id"], timeout_s=90)
        used = [trial["metrics"]["gpu"] for trial in client.trials(done["id"])]
        assert sorted(used) == [4, 5]

        quick = job_file("python quick.py", X, trials=3, parallel=3) | {"resources": {"cpus": 2, "gpus": 0.5}}
        done = client.wait(client.submit(quick)["id"], timeout_s=90)
        for trial in client.trials(done["id"]):
            assert trial["metrics"]["threads"] == 2
            assert trial["metrics"]["gpus"] == 1
            assert trial["metrics"]["gpu"] in {4, 5}

        none = client.submit(job_file("python quick.py", X, trials=1, parallel=1) | {"resources": {"gpus": 3}})
        waiting = wait_for(lambda: client.job(none["id"])["reason"])
        assert "3 GPUs" in waiting
        assert client.job(none["id"])["status"] == "running"


def test_on_a_cluster_trials_get_distinct_gpus_and_survive_their_executor(
    tmp_path: Path, standalone_cluster: StandaloneCluster, postgres_url: str
) -> None:
    deployment = Deployment(tmp_path, DATABASE_URL=postgres_url, SPARK_MASTER=standalone_cluster.master)
    deployment.settings |= {"SPARK_CONF": json.dumps(standalone_cluster.conf)}
    deployment.settings |= {"ARTIFACTS_URL": tmp_path / "artifacts"}
    try:
        deployment.command("db", "upgrade")
        deployment.operator_key = json.loads(deployment.command("key", "create", "--operator", "first", "--json"))[
            "secret"
        ]
        deployment.start("manager", "--port", "0")
        deployment.settings["SERVICE_URL"] = deployment.url
        deployment.start("controller")
        with deployment.tenant("acme") as client:
            gate = tmp_path / "gate"
            command = f"python slow.py --steps 3 --wait-for {gate}"
            file = job_file(command, X, trials=5, parallel=4) | {"resources": {"cpus": 1, "gpus": 1}}
            job = client.submit(file)
            wait_for(lambda: client.job(job["id"])["progress"]["running"] == 4, within_s=90)

            # Two workers with two GPUs each: four trials at once, each on a GPU of its own.
            wait_for(lambda: sum(1 for n in range(4) if client.trial(job["id"], n)["tasks"][-1]["gpus"]) == 4)
            gpus = sorted(client.trial(job["id"], n)["tasks"][-1]["gpus"][0] for n in range(4))
            assert gpus == ["0", "1", "2", "3"]

            os.kill(standalone_cluster.executors()[0], signal.SIGKILL)
            wait_for(
                lambda: any(len(client.trial(job["id"], n)["tasks"]) > 1 for n in range(4)),
                within_s=60,
                what="the killed executor's trials are run again",
            )
            gate.touch()
            done = client.wait(job["id"], timeout_s=120)
            assert done["status"] == "completed"
            assert done["progress"]["completed"] == 5
            assert [t["number"] for t in client.trials(job["id"], sort="number")] == [0, 1, 2, 3, 4]
            twice = [t for n in range(5) if len((t := client.trial(job["id"], n))["tasks"]) > 1]
            for trial in twice:
                assert [task["status"] for task in trial["tasks"]] == ["lost", "succeeded"]
                steps = [m["step"] for m in client.measurements(job["id"], trial["number"], metric="loss")]
                assert steps == [0, 1, 2]
    finally:
        deployment.stop()
