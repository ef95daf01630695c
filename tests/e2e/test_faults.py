"""What a job survives, with the real service, real Spark and real processes."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.service import X, deployed, job_file
from tests.machine import free_port
from tests.waiting import wait_for
from tuning_service.client import TuningApiError

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

MODES = ["crash", "segfault", "hang", "nan", "nothing", "flood", "fork", "ok"]


def test_trainings_that_misbehave_leave_the_service_well_and_no_process(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        space = {"mode": {"type": "categorical", "values": MODES}}
        job = client.submit(
            job_file("python misbehave.py", space, trials=len(MODES), trial_minutes=0.1, failures=len(MODES))
        )
        done = client.wait(job["id"], timeout_s=180)
        trials = {trial["params"]["mode"]: trial for trial in client.trials(job["id"])}

        assert done["status"] == "completed"
        assert set(trials) == set(MODES)
        assert {mode: trial["status"] for mode, trial in trials.items()} == {
            "crash": "failed",
            "segfault": "failed",
            "hang": "failed",
            "nan": "failed",
            "nothing": "failed",
            "flood": "completed",
            "fork": "completed",
            "ok": "completed",
        }
        assert "ValueError: the data set is empty" in trials["crash"]["reason"]
        assert "SIGSEGV" in trials["segfault"]["reason"]
        assert "6 s" in trials["hang"]["reason"]
        assert "finite" in trials["nan"]["reason"]
        assert "loss" in trials["nothing"]["reason"]
        assert "validation_loss: 0.25" in trials["nothing"]["explanation"]
        assert trials["flood"]["value"] == 0.75
        assert len(client.log(job["id"], trials["flood"]["number"])) < 5 * 2**20
        assert client.best(job["id"])["by_observation"]["params"] == {"mode": "ok"}
        wait_for(lambda: not deployment.processes(containing="misbehave.py"), within_s=30)
        wait_for(lambda: not deployment.processes(containing="left-behind"), within_s=30)


def test_a_service_killed_and_started_again_goes_on_and_counts_nothing_twice(tmp_path: Path) -> None:
    with deployed(tmp_path, PORT=free_port()) as deployment, deployment.tenant("acme") as client:
        job = client.submit(job_file("python slow.py --steps 15", X, trials=8, parallel=2))

        def some_done_and_some_running() -> bool:
            progress = client.job(job["id"])["progress"]
            return progress["completed"] >= 2 and progress["running"] == 2

        wait_for(some_done_and_some_running, within_s=90)
        before = {t["number"]: t for t in client.trials(job["id"]) if t["status"] == "completed"}
        service = max(deployment.processes(containing="tuning_service serve"), key=lambda pid: -pid)
        os.kill(service, signal.SIGKILL)
        wait_for(lambda: not deployment.processes(), within_s=20, what="everything of the killed service is gone")

        deployment.start()
        done = client.wait(job["id"], timeout_s=120)
        after = {t["number"]: t for t in client.trials(job["id"])}
        assert done["status"] == "completed"
        assert sorted(after) == list(range(8))
        assert done["progress"]["completed"] == 8
        for number, trial in before.items():
            assert after[number]["params"] == trial["params"]
            assert after[number]["value"] == trial["value"]
            assert after[number]["ended_at"] == trial["ended_at"]
        # Those that were running were run again, each under its own number.
        again = [client.trial(job["id"], number) for number in after if number not in before]
        assert any(len(trial["tasks"]) == 2 for trial in again)
        for trial in again:
            assert [task["status"] for task in trial["tasks"]][-1] == "succeeded"
            assert all(task["status"] == "lost" for task in trial["tasks"][:-1])


def test_stop_ends_trainings_within_two_seconds_and_resume_goes_on(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        job = client.submit(job_file("python slow.py --steps 30 --stubborn", X, trials=4, parallel=2))
        wait_for(lambda: len(deployment.processes(containing="slow-child")) == 2, within_s=90)

        client.stop(job["id"])
        asked = time.monotonic()
        wait_for(lambda: not deployment.processes(containing="slow"), within_s=10)
        assert time.monotonic() - asked < 2.0
        stopped = wait_for(lambda: _in_status(client, job["id"], "stopped"))
        assert stopped["progress"]["running"] == 0
        number = stopped["progress"]["completed"] + stopped["progress"]["stopped"]
        assert number == len(client.trials(job["id"]))

        client.resume(job["id"])
        done = client.wait(job["id"], timeout_s=120)
        assert done["status"] == "completed"
        assert [t["number"] for t in client.trials(job["id"], sort="number")] == [0, 1, 2, 3]
        assert done["progress"]["completed"] == 4


def test_a_deleted_job_leaves_nothing_behind(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        job = client.submit(job_file("python slow.py --steps 100", X, trials=4, parallel=2))
        wait_for(lambda: client.job(job["id"])["progress"]["running"] == 2, within_s=60)
        client.delete(job["id"])

        def gone() -> bool:
            try:
                client.job(job["id"])
            except TuningApiError as error:
                return error.status == 404
            return False

        wait_for(gone)
        wait_for(lambda: not deployment.processes(containing="slow.py"), within_s=30)
        with closing(sqlite3.connect(tmp_path / "data" / "tuning.db")) as database:
            for table in ("tuning_jobs", "trials", "tuning_tasks", "measurements", "events"):
                assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        logs = [
            path for path in (tmp_path / "data" / "artifacts").rglob("*") if path.is_file() and "jobs" in path.parts
        ]
        assert logs == []


def test_a_job_whose_objective_is_never_printed_gives_up_with_an_explanation(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        file = job_file("python quick.py", X, trials=50, parallel=2, failures=3)
        file["objective"] = {"metric": "los", "goal": "minimize"}
        done = client.wait(client.submit(file)["id"], timeout_s=90)
        assert done["status"] == "failed"
        assert "los" in done["reason"]
        assert done["progress"]["done"] < 10
        failed = client.trials(done["id"], status="failed")[0]
        assert "loss=" in failed["explanation"]


def _in_status(client: object, job_id: str, status: str) -> dict[str, object] | None:
    job: dict[str, object] = client.job(job_id)  # type: ignore[attr-defined]
    return job if job["status"] == status else None
