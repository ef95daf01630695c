"""Jobs and trials over REST."""

import time
from datetime import datetime
from typing import Any

import pytest

from tests.rest_service import Driver, Service, job_file, submit, upload
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.state import JobStatus, TaskStatus
from tuning_service.domain.trial import Outcome


def pages(http: Any, path: str, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        page = http.get(path, params=params).json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        params["cursor"] = page["next_cursor"]


def test_a_job_is_started_found_and_written_back(service: Service) -> None:
    with service.http() as http:
        made = submit(http, seed=7)
        assert made.status_code == 201
        job = made.json()
        assert made.headers["location"] == f"/v1/tuning-jobs/{job['id']}"
        assert http.get(made.headers["location"]).json() == job
    assert (job["status"], job["target"]) == ("created", "running")
    assert job["spec"]["seed"] == 7
    assert job["spec"]["space"]["momentum"]["when"] == {"optimizer": ["sgd"]}
    assert job["progress"]["total"] == 4
    assert job["created_at"].endswith("Z")
    assert service.notified == [job["id"]]


def test_the_same_request_twice_makes_one_job(service: Service) -> None:
    with service.http() as http:
        program = upload(http)
        headers = {"Idempotency-Key": "once"}
        first = http.post("/v1/tuning-jobs", json=job_file(program), headers=headers)
        again = http.post("/v1/tuning-jobs", json=job_file(program), headers=headers)
        other = http.post("/v1/tuning-jobs", json=job_file(program, name="other"), headers=headers)
        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert other.status_code == 409
        assert len(http.get("/v1/tuning-jobs").json()["items"]) == 1
        # A refused request does not use its key up.
        bad = {"Idempotency-Key": "second"}
        assert http.post("/v1/tuning-jobs", json=job_file(program, budget={"trials": 0}), headers=bad).is_error
        assert http.post("/v1/tuning-jobs", json=job_file(program), headers=bad).status_code == 201


def test_what_others_call_their_requests_makes_no_difference(service: Service) -> None:
    headers = {"Idempotency-Key": "1"}
    with service.http() as http:
        program = upload(http)
        mine = http.post("/v1/tuning-jobs", json=job_file(program), headers=headers)
        assert mine.status_code == 201
    for role, status in (("viewer", 403), ("admin", 201)):
        with service.http(service.keys[f"vision/{role}"]) as http:
            answer = http.post("/v1/tuning-jobs", json=job_file(program), headers=headers)
            assert answer.status_code == status
            assert answer.json().get("id") != mine.json()["id"]
            assert "idempotency-replayed" not in answer.headers


def test_jobs_come_in_pages_newest_first(service: Service) -> None:
    with service.http() as http:
        ids = [submit(http, name=f"job {i}").json()["id"] for i in range(5)]
        assert [job["id"] for job in pages(http, "/v1/tuning-jobs", limit=2)] == sorted(ids, reverse=True)
        Driver(service, ids[2]).set_status(JobStatus.RUNNING)
        running = http.get("/v1/tuning-jobs", params={"status": ["running", "failed"]}).json()["items"]
        assert [job["id"] for job in running] == [ids[2]]


@pytest.mark.parametrize("what", ["job", "points"])
def test_a_request_is_done_once_also_when_its_process_died_before_it_could_answer(
    service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = f"/v1/tuning-jobs/{driver.job_id}/points" if what == "points" else "/v1/tuning-jobs"

    def dies(_job_id: str) -> None:
        raise TryAgain("Nobody hears this.")

    def stored() -> int:
        with service.http() as http:
            return len(http.get(path).json()["items"])

    before = stored()
    with service.http() as http:
        http.headers["Idempotency-Key"] = "k"
        body = {"points": [{"lr": 0.01}]} if what == "points" else job_file(upload(http))
        with monkeypatch.context() as patch:
            patch.setattr(service.tuning, "_notify", dies)
            assert http.post(path, json=body).status_code == 503
        again = http.post(path, json=body)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert stored() == before + 1


def test_stop_resume_and_delete_change_the_target(service: Service, driver: Driver) -> None:
    path = f"/v1/tuning-jobs/{driver.job_id}"
    with service.http() as http:
        assert http.post(f"{path}/stop").json()["target"] == "stopped"
        assert http.post(f"{path}/stop").status_code == 200
        assert http.post(f"{path}/resume").json()["target"] == "running"
        deleted = http.delete(path)
        assert deleted.status_code == 202
        assert deleted.json()["target"] == "deleted"
        assert http.post(f"{path}/resume").status_code == 409
        driver.delete()
        assert http.get(path).status_code == 404
        assert http.delete(path).status_code == 404


def test_a_resume_is_taken_back_before_a_controller_saw_it(service: Service, driver: Driver) -> None:
    path = f"/v1/tuning-jobs/{driver.job_id}"
    for status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.COMPLETED):
        driver.set_status(status)
        with service.http() as http:
            http.post(f"{path}/stop")
            assert http.post(f"{path}/resume").json()["target"] == "running"
            assert http.post(f"{path}/stop").json()["target"] == "stopped", status


def test_trials_are_sorted_filtered_and_paged(service: Service, driver: Driver) -> None:
    values = [0.5, None, 0.9, 0.7]
    for number, value in enumerate(values):
        driver.add_trial(number).complete(value)
    driver.add_trial(4).claim()
    path = f"/v1/tuning-jobs/{driver.job_id}/trials"
    expected = {
        "number": [0, 1, 2, 3, 4],
        "-number": [4, 3, 2, 1, 0],
        "value": [0, 3, 2, 1, 4],
        "-value": [2, 3, 0, 1, 4],
        "best": [2, 3, 0, 1, 4],
        "ended_at": [0, 1, 2, 3, 4],
        "-ended_at": [3, 2, 1, 0, 4],
    }
    with service.http() as http:
        for sort, numbers in expected.items():
            for limit in (2, 100):
                found = [trial["number"] for trial in pages(http, path, sort=sort, limit=limit)]
                assert found == numbers, (sort, limit)
        failed = http.get(path, params={"status": "failed"}).json()["items"]
        assert [trial["number"] for trial in failed] == [1]
        assert failed[0]["reason"] == "the program ended with exit code 1"
        cursor = http.get(path, params={"sort": "value", "limit": 1}).json()["next_cursor"]
        crossed = http.get(path, params={"sort": "number", "cursor": cursor})
        assert crossed.json()["errors"][0]["field"] == "cursor"
        best = http.get(f"/v1/tuning-jobs/{driver.job_id}/best", params={"limit": 2}).json()
        assert best["by_observation"]["number"] == 2
        assert [trial["value"] for trial in best["trials"]] == [0.9, 0.7]
        progress = http.get(f"/v1/tuning-jobs/{driver.job_id}").json()["progress"]
    assert (progress["done"], progress["failed"], progress["running"]) == (4, 1, 1)
    assert (progress["best_value"], progress["best_trial"]) == (0.9, 2)


def test_a_job_without_completed_trials_has_no_best(service: Service, driver: Driver) -> None:
    with service.http() as http:
        assert http.get(f"/v1/tuning-jobs/{driver.job_id}/best").json() == {
            "by_observation": None,
            "by_model": None,
            "trials": [],
            "note": "",
        }


def test_a_trial_shows_its_executions(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    run.complete(0.9)
    with service.http() as http:
        trial = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/0").json()
        missing = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/1")
    task = trial["tasks"][0]
    assert (task["id"], task["host"], task["status"]) == (run.task_id, "worker-1", "succeeded")
    assert task["outcome"]["exit_code"] == 0
    assert trial["params"] == {"lr": 0.01, "optimizer": "adam"}
    assert trial["elapsed_s"] >= 0
    assert missing.status_code == 404


def test_measurements_are_kept_once_and_write_what_json_cannot(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    run.claim()
    points = ((1, "loss", float("inf")), (1, "acc", 0.5), (2, "loss", float("nan")), (3, "loss", 0.25))
    for _ in range(2):
        assert run.report(*points).json() == {"decision": "continue"}
    path = f"/v1/tuning-jobs/{driver.job_id}/trials/0/measurements"
    with service.http() as http:
        found = pages(http, path, limit=3)
        assert [(p["step"], p["metric"], p["value"]) for p in found] == [
            (1, "acc", 0.5),
            (1, "loss", "inf"),
            (2, "loss", "nan"),
            (3, "loss", 0.25),
        ]
        losses = http.get(path, params={"metric": "loss", "task": 0}).json()["items"]
        assert len(losses) == 3
        assert http.get(path, params={"task": 3}).status_code == 404


def test_a_claim_answers_with_the_plan_and_an_ended_task_is_gone(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    plan = run.claim().json()
    assert plan["task_id"] == run.task_id
    assert plan["required"] == ["val_accuracy"]
    assert run.claim().json() == plan  # the same runner asks again
    with service.http(service.token(run.task_id)) as http:
        assert http.get(f"/v1/tasks/{run.task_id}/program").content == archive_bytes(service, plan["program"])
    run.finish(0.5)
    gone = run.report((5, "val_accuracy", 0.6))
    assert gone.status_code == 410
    assert gone.json()["type"].endswith(":gone")


def archive_bytes(service: Service, digest: str) -> bytes:
    return service.artifacts.program(service.principal().tenant_id, digest)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"x"', b"{}"),
        b'{"measurements": [[1]], "log_offset": 0, "log": "", "outcome": null}',
        b'{"measurements": [[1, "loss", 0.5, "nan"]], "log_offset": 0, "log": "", "outcome": null}',
        b'{"measurements": [], "log_offset": 0, "log": "", "outcome": "failed"}',
        b'{"measurements": [], "log_offset": 4294967296, "log": "x", "outcome": null}',
        (
            b'{"measurements": [], "log_offset": 0, "log": "", "outcome": '
            b'{"status": "failed", "fault": "none", "exit_code": []}}'
        ),
    ],
)
def test_a_malformed_report_is_refused(service: Service, driver: Driver, body: bytes) -> None:
    run = driver.add_trial(0)
    run.claim()
    with service.http(service.token(run.task_id)) as http:
        answer = http.post(f"/v1/tasks/{run.task_id}/report", content=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "body"


def test_how_long_a_trial_runs_is_reckoned_by_the_databases_clock(
    service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = driver.add_trial(0)
    run.claim()
    path = f"/v1/tuning-jobs/{driver.job_id}/trials"
    with service.http() as http:
        began = datetime.fromisoformat(http.get(f"{path}/0").json()["started_at"]).timestamp()
        monkeypatch.setattr(service.tuning, "_clock", lambda: began + 3600)
        for found in (http.get(f"{path}/0").json(), http.get(path).json()["items"][0]):
            assert found["elapsed_s"] == pytest.approx(3600, abs=1)


def test_an_outcome_is_stored_as_all_databases_take_it(service: Service, driver: Driver) -> None:
    """Else no controller could draw its conclusions, and the job could not even be deleted."""
    run = driver.add_trial(0)
    run.claim()
    outcome = Outcome(status=TaskStatus.FAILED, failure="\x00odd" * 50, reason="r" * 5000)
    for decision in ("continue", "stop"):  # the second is known as the same
        assert run.report(outcome=outcome).json() == {"decision": decision}
    with service.store.read() as unit:
        stored = unit.runner.task(run.task_id).outcome
    assert (stored.failure, len(stored.reason)) == (("odd" * 50)[:40], 1000)


def test_a_report_costs_little(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    run.claim()
    token = service.token(run.task_id)
    body = b'{"measurements": [[1, "loss", 0.5, 1.0]], "log_offset": 0, "log": "", "outcome": null}'
    with service.http(token) as http:
        assert http.post(f"/v1/tasks/{run.task_id}/report", content=body).status_code == 200
        began = time.process_time()
        for _ in range(100):
            http.post(f"/v1/tasks/{run.task_id}/report", content=body)
        each = (time.process_time() - began) / 100
    # Service, database and this client together; the bound is far above what is measured, for slow machines.
    assert each < 0.05
    print(f"{1000 * each:.2f} ms CPU each")


def test_a_program_is_deleted_with_its_bytes_once_no_job_uses_it(service: Service, driver: Driver) -> None:
    with service.client() as client, service.http() as http:
        digest = client.job(driver.job_id)["spec"]["program"]
        refused = http.delete(f"/v1/programs/{digest}")
        assert refused.status_code == 409
        assert driver.job_id in refused.json()["detail"]
        driver.delete()
        client.delete_program(digest)
        assert client.programs() == []
        assert not service.artifacts.has_program(service.principal().tenant_id, digest)
        assert http.delete(f"/v1/programs/{digest}").status_code == 404
        # The same content may come again.
        assert upload(http) == digest
        assert service.artifacts.has_program(service.principal().tenant_id, digest)
