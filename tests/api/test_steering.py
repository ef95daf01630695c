"""Jobs that are changed while they run, single trials that are stopped, and resuming what has completed."""

from typing import Any

import pytest

from tests.rest_service import Driver, Service
from tuning_service.domain.state import JobStatus


def path(driver: Driver, *parts: object) -> str:
    return "/".join(["/v1/tuning-jobs", driver.job_id, *map(str, parts)])


def test_name_and_budget_of_a_running_job_are_changed_and_told(service: Service, driver: Driver) -> None:
    change = {"name": "digits, longer", "budget": {"trials": 9, "parallel": 3, "minutes": 30, "trial_minutes": 2.5}}
    service.notified.clear()
    with service.http() as http:
        answer = http.patch(path(driver), json=change)
        assert answer.status_code == 200, answer.text
        job = answer.json()
        assert (job["name"], job["progress"]["total"]) == ("digits, longer", 9)
        assert job["spec"]["budget"] == change["budget"] | {"failures": 10}
        assert http.patch(path(driver), json={"budget": {"minutes": None}}).json()["spec"]["budget"]["minutes"] is None
        assert http.get(path(driver)).json()["spec"]["budget"]["trials"] == 9, "what is left out stays"
    assert service.notified == [driver.job_id] * 2
    told = service.tuning.events(service.principal(), driver.job_id, after=0, limit=99)
    changed = [event.data["changed"] for event in told if "changed" in event.data]
    assert changed[0] == change
    assert changed[1] == {"budget": {"minutes": None}}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"budget": {"trials": 0}}, "budget.trials"),
        ({"budget": {"trials": None}}, "budget.trials"),
        ({"budget": {"minutes": -1}}, "budget.minutes"),
        ({"budget": {"parallel": 5}}, "budget.parallel"),  # the tenant may have four
        ({"budget": {"trails": 9}}, "budget.trails"),
        ({"budget": 9}, "budget"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"seed": 3}, "seed"),
    ],
)
def test_what_a_job_cannot_be_changed_to_is_refused(
    service: Service, driver: Driver, change: dict[str, Any], field: str
) -> None:
    with service.http() as http:
        before = http.get(path(driver)).json()
        refused = http.patch(path(driver), json=change)
        assert refused.status_code == 422
        assert [problem["field"] for problem in refused.json()["errors"]] == [field]
        assert http.get(path(driver)).json() == before


def test_who_may_not_change_a_job_does_not(service: Service, driver: Driver) -> None:
    driver.add_trial(0)
    for key, status in (("vision/viewer", 403), ("speech/member", 404)):
        with service.http(service.keys[key]) as http:
            assert http.patch(path(driver), json={"name": "mine"}).status_code == status
            assert http.post(path(driver, "trials", 0, "stop")).status_code == status
    with service.http() as http:
        assert http.delete(path(driver)).status_code == 202
        assert http.patch(path(driver), json={"name": "late"}).status_code == 409


def test_a_completed_job_goes_on_with_a_larger_budget(service: Service, driver: Driver) -> None:
    for number in range(4):
        driver.add_trial(number).complete(0.5)
    driver.set_status(JobStatus.COMPLETED)
    with service.http() as http:
        assert http.get(path(driver)).json()["target"] == "stopped"
        nothing_left = http.post(path(driver, "resume"))
        assert nothing_left.status_code == 409
        assert "raise budget.trials, then resume" in nothing_left.json()["detail"]
        assert "can be resumed with a larger budget" in http.post(path(driver, "stop")).json()["detail"]
        assert http.patch(path(driver), json={"budget": {"trials": 6}}).json()["status"] == "completed"
        resumed = http.post(path(driver, "resume"))
        assert (resumed.status_code, resumed.json()["target"]) == (200, "running")


def test_a_running_trial_is_told_to_stop(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    run.claim()
    driver.add_trial(1).complete(0.5)
    with service.http() as http:
        stopped = http.post(path(driver, "trials", 0, "stop"))
        assert stopped.status_code == 200
        assert (stopped.json()["status"], stopped.json()["stop_requested"]) == ("running", True)
        assert http.post(path(driver, "trials", 0, "stop")).status_code == 200
        ended = http.post(path(driver, "trials", 1, "stop"))
        assert ended.status_code == 409
        assert "it is completed" in ended.json()["detail"]
        assert http.post(path(driver, "trials", 7, "stop")).status_code == 404
    assert service.notified[-2:] == [driver.job_id] * 2
