"""How failures are shown, and an artifact store that takes nothing."""

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from tests.plugins import plugin_files, zipped
from tests.rest_service import Driver, Run, Service, archive
from tests.waiting import wait_for
from tuning_service.domain.ids import new_id
from tuning_service.domain.state import TaskStatus
from tuning_service.domain.trial import MOST_LOST, FaultKind, Outcome, TuningTask
from tuning_service.runner.protocol import Claim


def trial(service: Service, driver: Driver, number: int = 0) -> Any:
    with service.http() as http:
        return http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/{number}").json()


def test_a_trial_has_all_its_executions_with_the_last_lines_of_each_lost_ones_too(
    service: Service, driver: Driver
) -> None:
    run = driver.add_trial(0)
    assert run.claim().status_code == 200
    lines = [f"step {i} " + "é" * 200 for i in range(300)]
    assert run.report(log="".join(f"{line}\n" for line in lines)).status_code == 200
    # The executor dies, and Spark starts the task again elsewhere.
    again = Claim(attempt=1, nonce="other", host="worker-2").to_json()
    plan = run.post("claim", again).json()
    end = Outcome(
        status=TaskStatus.FAILED,
        fault=FaultKind.PROGRAM,
        failure="out of memory",
        reason="exit code 1: MemoryError",
        log_tail="step 0\nMemoryError",
    )
    run.task_id, run.log_bytes = plan["task_id"], 0
    assert run.report(outcome=end).status_code == 200
    first, second = trial(service, driver)["tasks"]
    assert (first["host"], first["outcome"]["fault"], first["outcome"]["failure"]) == (
        "worker-1",
        "cluster",
        "executor lost",
    )
    kept = first["outcome"]["log_tail"].splitlines()
    assert 30 < len(kept) <= 100
    assert kept == lines[-len(kept) :]
    assert second["outcome"]["log_tail"] == "step 0\nMemoryError"
    assert second["outcome"]["failure"] == "out of memory"


def lose_to_the_service(driver: Driver, run: Run) -> Run:
    """The service loses the execution, and tries the trial again."""
    fault = Outcome(status=TaskStatus.LOST, fault=FaultKind.SERVICE, reason="lost: the service was restarted")

    def act(control: Any) -> Run:
        with driver.service.store.read() as unit:
            task = unit.runner.task(run.task_id)
        assert task is not None
        assert control.end_task(task, fault, time.time())
        control.set_trial(run.trial, time.time())
        task_id = new_id("task")
        again = TuningTask(
            id=task_id,
            trial_id=task.trial_id,
            job_id=task.job_id,
            tenant_id=task.tenant_id,
            trial_number=task.trial_number,
            number=task.number + 1,
            status=TaskStatus.CREATED,
            handle=task_id,
            created_at=time.time(),
        )
        control.add_tasks([again])
        return Run(driver, run.trial, task_id)

    found: Run = driver._write(act)
    return found


def test_what_the_service_lost_is_not_held_against_a_trial_whose_executor_is_lost(
    service: Service, driver: Driver
) -> None:
    run = driver.add_trial(0)
    for _ in range(MOST_LOST):
        run = lose_to_the_service(driver, run)
    assert run.claim().status_code == 200
    statuses = []
    for attempt in range(1, MOST_LOST + 1):
        claim = Claim(attempt=attempt, nonce=f"nonce-{attempt}", host="worker-2")
        statuses.append(run.post("claim", claim.to_json()).status_code)
    assert statuses == [200] * (MOST_LOST - 1) + [410], "only the cluster's losses count, and they do"
    faults = [t["outcome"]["fault"] for t in trial(service, driver)["tasks"]]
    assert faults == ["service"] * MOST_LOST + ["cluster"] * MOST_LOST


def block(folder: Path) -> None:
    """Nothing can be written: a file stands where the store's folder was. Permissions would not stop root."""
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
    (folder / "artifacts").write_text("")


def test_uploads_to_a_store_that_refuses_writes_are_to_come_again(service: Service, tmp_path: Path) -> None:
    block(tmp_path)
    with service.http() as http:
        answer = http.post("/v1/programs", content=archive())
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The service's artifact store takes no files at present."
    assert int(answer.headers["Retry-After"]) >= 1
    (tmp_path / "artifacts").unlink()
    with service.http() as http:
        assert http.post("/v1/programs", content=archive()).status_code == 201


@contextmanager
def no_commits(service: Service) -> Iterator[None]:
    """The database goes away just before it has stored anything; until then all can be read."""

    def refuse(connection: Any) -> None:
        if connection.get_execution_options().get("sqlite_begin") != "IMMEDIATE":
            return
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))

    event.listen(service.store.engine, "commit", refuse)
    try:
        yield
    finally:
        event.remove(service.store.engine, "commit", refuse)


def test_what_the_database_does_not_delete_keeps_its_bytes(service: Service) -> None:
    files = plugin_files()
    with service.http() as http:
        paths = [
            f"/v1/programs/{http.post('/v1/programs', content=archive()).json()['digest']}",
            f"/v1/plugins/mine/{http.post('/v1/plugins', content=zipped(files)).json()['version']}",
        ]
        for path in paths:
            with no_commits(service):
                assert http.delete(path).status_code >= 500
            assert http.get(path).status_code == 200
        tenant = service.access.authenticate(service.keys["vision/member"]).tenant_id
        program, plugin = (http.get(path).json()["digest"] for path in paths)
        assert service.artifacts.has_program(tenant, program)
        assert service.artifacts.has_plugin(tenant, plugin)
        for path in paths:
            assert http.delete(path).status_code == 204
        assert not service.artifacts.has_program(tenant, program)
        assert not service.artifacts.has_plugin(tenant, plugin)


def test_readiness_tells_of_a_store_that_refuses_writes_and_sends_requests_to_managers_that_can_store(
    service: Service, tmp_path: Path
) -> None:
    with service.http(key="") as anyone, service.presence.kept():
        wait_for((tmp_path / "artifacts" / ".check").exists)
        assert anyone.get("/readyz").text == "ok"
        block(tmp_path)
        told = "ok, but: The service's artifact store takes no files at present."
        wait_for(lambda: anyone.get("/readyz").text == told)
        assert anyone.get("/readyz").status_code == 200, "trainings still report, and no other manager can do more"
        for problem, status in (("", 503), ("It is full.", 200), ("", 503)):
            with service.store.write() as unit:
                unit.managers.heard_of("manager-other", time.time(), problem)
            assert anyone.get("/readyz").status_code == status
        with service.store.write() as unit:
            unit.managers.heard_of("manager-other", time.time() - 60)
        assert anyone.get("/readyz").text == told, "the other one is gone"
        (tmp_path / "artifacts").unlink()
        wait_for(lambda: anyone.get("/readyz").text == "ok")


def test_a_store_that_hangs_is_told_of_and_keeps_nobody_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(service.artifacts, "check", lambda: hangs.wait(60))
    with service.http(key="") as anyone:
        with service.presence.kept():
            wait_for(lambda: anyone.get("/readyz").text == "ok, but: The service's artifact store does not answer.")
        hangs.set()


def test_trainings_go_on_without_their_logs_and_the_task_says_so(
    service: Service, driver: Driver, tmp_path: Path
) -> None:
    run = driver.add_trial(0)
    assert run.claim().status_code == 200
    assert run.report(log="begins\n").status_code == 200
    kept = (tmp_path / "artifacts", tmp_path / "kept")
    kept[0].rename(kept[1])
    kept[0].write_text("")
    service.desk._log_patience_s = 3600.0
    assert run.report((1, "val_accuracy", 0.5), log="lost\n").status_code == 503, "it may soon be well"
    service.desk._log_patience_s = 0.0
    run.log_bytes = len("begins\n")
    answer = run.report((1, "val_accuracy", 0.5), log="lost\n")
    assert json.loads(answer.content) == {"decision": "continue"}
    kept[0].unlink()
    kept[1].rename(kept[0])
    assert run.report((2, "val_accuracy", 0.75), log="ends\n").status_code == 200
    [task] = trial(service, driver)["tasks"]
    assert task["log_problem"] == (
        "A part of the log was not stored. The service's artifact store takes no files at present."
    )
    with service.http() as http:
        found = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/0/measurements").json()["items"]
        log = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/0/log").text
    assert [point["value"] for point in found] == [0.5, 0.75]
    assert log == "begins\n     ends\n"
