"""How failures are shown, and an artifact store that takes nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.rest_service import Driver, Service, archive
from tuning_service.domain.state import TaskStatus
from tuning_service.domain.trial import FaultKind, Outcome
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


def block(service: Service, folder: Path) -> None:
    """Nothing can be written: a file stands where the store's folder was. Permissions would not stop root."""
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
    (folder / "artifacts").write_text("")


def test_uploads_to_a_store_that_refuses_writes_are_to_come_again(service: Service, tmp_path: Path) -> None:
    block(service, tmp_path)
    with service.http() as http:
        answer = http.post("/v1/programs", content=archive())
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The service's artifact store takes no files at present."
    assert int(answer.headers["Retry-After"]) >= 1
    (tmp_path / "artifacts").unlink()
    with service.http() as http:
        assert http.post("/v1/programs", content=archive()).status_code == 201


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
