"""The list of jobs: filters, orders, pages, counts; and trials as a table."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy import event, update

from tests.rest_service import Driver, Service, submit
from tuning_service.domain.state import JobStatus
from tuning_service.manager import listing_mgr
from tuning_service.manager.listing_mgr import JobQuery
from tuning_service.storage.tables import tuning_jobs
from tuning_service.storage.tenant_scope import TrialOrder

LIST = "/v1/tuning-jobs"


def added(http: Any, name: str, **changes: Any) -> str:
    made = submit(http, name=name, **changes)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def names(http: Any, **params: Any) -> list[str]:
    found: list[str] = []
    while True:
        page = http.get(LIST, params=params)
        assert page.status_code == 200, page.text
        found += [job["name"] for job in page.json()["items"]]
        if page.json()["next_cursor"] is None:
            return found
        params["cursor"] = page.json()["next_cursor"]


def test_jobs_are_searched_and_filtered_and_counted(service: Service) -> None:
    with service.http() as http:
        first = added(http, "Digits 100%")
        added(http, "digits 100 plain", algorithm={"name": "sobol"})
        added(http, "Обучение", framework="command", command="python train.py")
        Driver(service, first).set_status(JobStatus.RUNNING)
        assert names(http, search="DIGITS") == ["digits 100 plain", "Digits 100%"]
        assert names(http, search="100%") == ["Digits 100%"], "no character has a meaning of its own"
        assert names(http, search="100_") == []
        assert names(http, search="обуч") == ["Обучение"]
        assert names(http, search=first[-10:].upper()) == ["Digits 100%"]
        assert len(names(http, search="MEMBER")) == 3, "the name of the key"
        assert names(http, algorithm="sobol", framework="pytorch") == ["digits 100 plain"]
        assert names(http, framework="command") == ["Обучение"]
        assert names(http, pool="elsewhere") == []
        counts = http.get(f"{LIST}/counts", params={"search": "digits"}).json()
        assert (counts["total"], counts["counts"]["running"], counts["counts"]["created"]) == (2, 1, 1)
        assert counts["counts"]["failed"] == 0
        assert http.get(f"{LIST}/counts", params={"status": "running"}).json()["total"] == 1
    with service.http(service.keys["speech/viewer"]) as stranger:
        assert stranger.get(f"{LIST}/counts").json()["total"] == 0


def test_jobs_are_sorted_and_paged_either_way(service: Service) -> None:
    with service.http() as http:
        ids = {name: added(http, name) for name in ("beta", "Alpha", "gamma", "Delta")}
        Driver(service, ids["gamma"]).set_status(JobStatus.COMPLETED)
        Driver(service, ids["beta"]).set_status(JobStatus.FAILED)
        expected = {
            "created_at": ["beta", "Alpha", "gamma", "Delta"],
            "-created_at": ["Delta", "gamma", "Alpha", "beta"],
            "name": ["Alpha", "beta", "Delta", "gamma"],
            "-name": ["gamma", "Delta", "beta", "Alpha"],
            "status": ["gamma", "Alpha", "Delta", "beta"],
            "ended_at": ["gamma", "beta", "Alpha", "Delta"],
            "-ended_at": ["beta", "gamma", "Delta", "Alpha"],
            "-cost": ["Delta", "gamma", "Alpha", "beta"],
        }
        for sort, order in expected.items():
            for limit in (1, 3, 100):
                assert names(http, sort=sort, limit=limit) == order, (sort, limit)
        cursor = http.get(LIST, params={"sort": "name", "limit": 1}).json()["next_cursor"]
        crossed = http.get(LIST, params={"sort": "-name", "cursor": cursor})
        assert crossed.json()["errors"][0]["field"] == "cursor"
        assert http.get(LIST, params={"sort": "seed"}).status_code == 422
    by_name = JobQuery(order="name", descending=False)
    page = service.managers.listing.jobs(service.principal(), by_name, offset=1, limit=2)
    assert [view.job.spec.name for view in page.views] == ["beta", "Delta"]
    assert page.next is not None


def test_a_page_of_jobs_takes_as_many_queries_as_one_job(service: Service, driver: Driver) -> None:
    driver.add_trial(0).complete(0.75)
    asked: list[str] = []
    event.listen(service.store.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    listing, who = service.managers.listing, service.principal()
    asked.clear()
    [alone] = listing.jobs(who, JobQuery(), limit=50).views
    of_one = len(asked)
    assert (alone.progress.best_value, alone.job.owner_name) == (0.75, "member")
    with service.http() as http:
        for goal in ("minimize", "maximize") * 3:
            added(http, goal, objective=[{"metric": m, "goal": goal} for m in "ab"])
            added(http, goal, objective={"metric": "a", "goal": goal})
    asked.clear()
    assert len(listing.jobs(who, JobQuery(), limit=50).views) == 13
    assert len(asked) <= of_one + 2, "one for the other goal, one for fronts"


def test_what_a_job_has_used_is_added_up_as_executions_end(service: Service, driver: Driver) -> None:
    driver.add_trial(0).complete(0.5)
    with service.http() as http:
        ended = http.get(f"{LIST}/{driver.job_id}").json()
        assert http.get(f"{LIST}/{driver.job_id}").json()["cpu_hours"] == ended["cpu_hours"] > 0
        driver.add_trial(1).claim()
        running = http.get(f"{LIST}/{driver.job_id}").json()
    assert running["cpu_hours"] > ended["cpu_hours"], "what runs counts too"
    assert (running["gpu_hours"], running["cost"]) == (0, 0)


def test_trials_are_a_table_that_a_spreadsheet_takes_for_no_formula(service: Service, driver: Driver) -> None:
    driver.add_trial(0, {"lr": 0.25, "optimizer": "=HYPERLINK(1)"}).complete(-0.5)
    driver.add_trial(1, {"lr": 0.5, "optimizer": "-1e-3", "momentum": True}).complete(None)
    for number in range(2, 12):
        driver.add_trial(number)
    with service.http() as http:
        answer = http.get(f"{LIST}/{driver.job_id}/trials.csv")
        assert http.get(f"{LIST}/job_none/trials.csv").status_code == 404
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"{driver.job_id}-trials.csv" in answer.headers["content-disposition"]
    first, second, *rest = csv.DictReader(io.StringIO(answer.text))
    assert list(first)[:7] == [
        *("number", "status", "value", "values.val_accuracy", "params.lr", "params.optimizer", "params.momentum"),
    ]
    assert list(first)[7:] == ["metrics.val_accuracy", "reason", "started", "ended", "elapsed"]
    assert (first["value"], first["params.optimizer"], first["params.momentum"]) == ("-0.5", "'=HYPERLINK(1)", "")
    assert (second["value"], second["params.optimizer"], second["params.momentum"]) == ("", "-1e-3", "true")
    assert (second["reason"], second["started"][-1]) == ("the program ended with exit code 1", "Z")
    assert [row["number"] for row in rest] == [str(n) for n in range(2, 12)]
    page = service.managers.listing.trials(
        service.principal(), driver.job_id, order=TrialOrder(descending=True), offset=2, limit=3
    )
    assert ([trial.number for trial in page.trials], page.total) == ([9, 8, 7], 12)


def test_a_table_has_no_column_for_each_name_that_a_program_makes_up(
    service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_mgr, "_MOST_METRICS", 2)
    for number, names_of in enumerate(("a", "bcd", ("e", "val_accuracy"))):
        run = driver.add_trial(number)
        run.claim()
        assert run.report(*((1, name, 0.5) for name in names_of)).status_code == 200
    with service.http() as http:
        header = http.get(f"{LIST}/{driver.job_id}/trials.csv").text.splitlines()[0].split(",")
    found = [name for name in header if name.startswith("metrics.")]
    assert found == ["metrics.a", "metrics.b", "metrics.val_accuracy"]


def test_cursors_hold_while_jobs_are_made_and_share_their_time(service: Service) -> None:
    with service.http() as http:
        for name in "abcde":
            added(http, name)
        with service.store.write() as unit:
            unit._connection.execute(update(tuning_jobs).values(created_at=1.0))
        page = http.get(LIST, params={"limit": 2}).json()
        added(http, "new")
        assert names(http, limit=2, cursor=page["next_cursor"]) == ["c", "b", "a"]
