"""Several objectives, limits on metrics, the best by model, and earlier jobs' trials, over REST."""

import dataclasses
from typing import Any

import pytest

from tests.rest_service import Driver, Service, running, submit

ACC = {"metric": "acc", "goal": "maximize"}
MS = {"metric": "ms", "goal": "minimize", "summary": "last"}


def submitted(service: Service, key: str | None = None, **changes: Any) -> Any:
    with service.http(key) as http:
        return submit(http, **changes)


def complete(driver: Driver, number: int, values: dict[str, float], *, violation: float = 0.0, **params: Any) -> None:
    run = driver.add_trial(number, params or None)
    run.claim()
    run.finish(next(iter(values.values())), values=values, violation=violation)


def get(service: Service, driver: Driver, what: str = "", **params: Any) -> Any:
    with service.http() as http:
        answer = http.get(f"/v1/tuning-jobs/{driver.job_id}{what}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("objective", [ACC, [ACC, MS]])
def test_what_was_written_is_read_back(service: Service, objective: Any) -> None:
    written = {
        "objective": objective,
        "metric_constraints": ["latency ms <= 20.0", "acc >= 0.5"],
        "stored_metrics": ["train_loss"],
    }
    spec = submitted(service, **written).json()["spec"]
    summaries = [{"summary": "best", **o} for o in ([objective] if isinstance(objective, dict) else objective)]
    assert spec["objective"] == (summaries if isinstance(objective, list) else summaries[0])
    assert {name: spec[name] for name in ("metric_constraints", "stored_metrics", "warm_start")} == {
        "metric_constraints": ["latency ms <= 20.0", "acc >= 0.5"],
        "stored_metrics": ["train_loss"],
        "warm_start": [],
    }


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"objective": []}, "objective", "is empty."),
        ({"objective": [{"metric": f"m{i}", "goal": "minimize"} for i in range(5)]}, "objective", "has 5 entries"),
        ({"objective": [ACC, ACC]}, "objective.1.metric", "'acc' stands at objective.0.metric too."),
        ({"objective": [ACC, {"metric": " ", "goal": "minimize"}]}, "objective.1.metric", "is empty."),
        ({"objective": [ACC, {"metric": "ms", "goal": "min"}]}, "objective.1.goal", "must be 'minimize' or"),
        ({"objective": [ACC, {"metric": "ms"}]}, "objective.1.goal", "is missing."),
        ({"objective": {"metric": "ms", "gaol": "minimize"}}, "objective.gaol", "is not a known field."),
        ({"objective": "acc"}, "objective", "must be a valid dictionary"),
        ({"stored_metrics": ["val_accuracy"]}, "stored_metrics.0", "'val_accuracy' stands at objective.metric too."),
        ({"stored_metrics": ["a", "a"]}, "stored_metrics.1", "'a' stands at stored_metrics.0 too."),
        ({"metric_constraints": ["ms <= 20", "ms < 20"]}, "metric_constraints.1", "'ms < 20' is no constraint"),
        ({"metric_constraints": ["<= 20"]}, "metric_constraints.0", "is no constraint"),
        ({"metric_constraints": ["ms <= 1e999"]}, "metric_constraints.0", "is no constraint"),
        ({"warm_start": ["job_1"]}, "warm_start.0", "there is no tuning job 'job_1'."),
        ({"warm_start": ["job_1", "job_1"]}, "warm_start.1", "'job_1' is named twice."),
        ({"objective": [ACC, MS], "algorithm": {"name": "bayesian"}}, "algorithm.name", "bayesian cannot search with"),
    ],
)
def test_what_is_wrong_is_named(service: Service, changes: dict[str, Any], field: str, message: str) -> None:
    answer = submitted(service, **changes)
    assert answer.status_code == 422
    problems = {problem["field"]: problem for problem in answer.json()["errors"]}
    assert message in problems[field]["message"]
    assert problems[field]["remedy"]


def test_the_front_grows_with_the_trials_that_nothing_beats(service: Service) -> None:
    driver = running(service, objective=[ACC, MS], metric_constraints=["mb <= 10"])
    assert get(service, driver, "/front") == {"trials": [], "total": 0}
    assert get(service, driver)["progress"]["front_size"] == 0
    complete(driver, 0, {"acc": 0.5, "ms": 10.0, "mb": 1.0})
    assert get(service, driver)["progress"]["front_size"] == 1
    complete(driver, 1, {"acc": 0.9, "ms": 30.0, "mb": 1.0})
    complete(driver, 2, {"acc": 0.6, "ms": 40.0, "mb": 1.0})  # beaten
    complete(driver, 3, {"acc": 0.99, "ms": 1.0, "mb": 20.0}, violation=1.0)  # beyond the limit
    driver.add_trial(4).complete(None)
    front = get(service, driver, "/front")
    assert front["total"] == 2
    assert [trial["number"] for trial in front["trials"]] == [1, 0]
    assert front["trials"][0]["values"] == {"acc": 0.9, "ms": 30.0, "mb": 1.0}
    assert [trial["number"] for trial in get(service, driver, "/front", limit=1)["trials"]] == [1]
    progress = get(service, driver)["progress"]
    assert (progress["front_size"], progress["best_value"], progress["best_trial"]) == (2, None, None)
    best = get(service, driver, "/best")
    assert [trial["number"] for trial in best["trials"]] == [1, 2, 0, 3]
    assert [trial["feasible"] for trial in best["trials"]] == [True, True, True, False]
    assert "acc" in best["note"]
    with service.client(service.keys["speech/member"]) as theirs, pytest.raises(Exception, match="no tuning job"):
        theirs.front(driver.job_id)


def test_the_front_of_one_objective_is_its_best_trials(service: Service, driver: Driver) -> None:
    for number, value in enumerate((0.5, 0.9, 0.9)):
        complete(driver, number, {"val_accuracy": value})
    assert [trial["number"] for trial in get(service, driver, "/front")["trials"]] == [1, 2]


def test_when_no_trial_meets_the_limits_the_nearest_is_best_and_this_is_said(service: Service) -> None:
    driver = running(service, metric_constraints=["ms <= 20"])
    complete(driver, 0, {"val_accuracy": 0.9, "ms": 40.0}, violation=1.0)
    complete(driver, 1, {"val_accuracy": 0.5, "ms": 25.0}, violation=0.25)
    best = get(service, driver, "/best")
    assert best["by_observation"]["number"] == 1
    assert "No completed trial meets the metric_constraints" in best["note"]
    progress = get(service, driver)["progress"]
    assert (progress["best_trial"], progress["best_feasible"]) == (1, False)
    complete(driver, 2, {"val_accuracy": 0.4, "ms": 5.0})
    best = get(service, driver, "/best")
    assert [trial["number"] for trial in best["trials"]] == [2, 1, 0]
    assert best["note"] == ""
    ordered = get(service, driver, "/trials", sort="best")["items"]
    assert [trial["number"] for trial in ordered] == [2, 1, 0]


def test_the_best_by_model_is_shown_beside_the_best_by_observation(service: Service, driver: Driver) -> None:
    complete(driver, 0, {"val_accuracy": 0.9})
    complete(driver, 1, {"val_accuracy": 0.8})
    assert get(service, driver)["by_model"] is None
    assert get(service, driver, "/best")["by_model"] is None

    def store(control: Any) -> None:
        job = control.job(driver.job_id)
        control.set_model_best(dataclasses.replace(job, model_best_trial=1, model_best_value=0.85))

    driver._write(store)
    assert get(service, driver)["by_model"] == {"trial": 1, "value": 0.85}
    best = get(service, driver, "/best")
    assert best["by_observation"]["number"] == 0
    assert (best["by_model"]["trial"]["number"], best["by_model"]["expected"]) == (1, 0.85)


def test_a_job_begins_with_the_trials_of_earlier_ones_as_they_were(service: Service, driver: Driver) -> None:
    complete(driver, 0, {"val_accuracy": 0.9}, lr=0.01, optimizer="adam")
    complete(driver, 1, {"val_accuracy": 0.8}, lr=0.25, optimizer="adam")
    driver.add_trial(2).complete(None)
    driver.add_trial(3)  # runs on
    empty = submitted(service).json()["id"]
    space = {"lr": {"type": "float", "min": 0.001, "max": 0.1}, "new": {"type": "int", "min": 1, "max": 3}}
    job = submitted(service, space=space, warm_start=[empty, driver.job_id], algorithm={"name": "tpe"}).json()
    assert job["spec"]["warm_start"] == [empty, driver.job_id]
    assert job["warm_start_report"] == [
        {"job": empty, "name": "digits", "used": 0, "unused": {}, "assumed": {}, "ignored": ["momentum", "optimizer"]},
        {
            "job": driver.job_id,
            "name": "digits",
            "used": 2,
            "unused": {"lr was out of range": 1},
            "assumed": {"new": 2},
            "ignored": ["momentum", "optimizer"],
        },
    ]
    complete(driver, 4, {"val_accuracy": 0.7})
    driver.delete()
    with service.store.read() as unit:
        learned = unit.control.warm_trials(job["id"])
    assert [(o.losses, o.job) for o in learned] == [((-0.9,), driver.job_id), (None, driver.job_id)]
    assert learned[0].params == {"lr": 0.01, "new": 2}
    assert [o.number for o in learned] == [-2, -1]


def test_of_too_many_earlier_trials_the_best_are_taken(service: Service, driver: Driver, monkeypatch: Any) -> None:
    monkeypatch.setattr("tuning_service.manager.warm_start.MOST_TRIALS", 4)
    monkeypatch.setattr("tuning_service.manager.warm_start.MOST_JOBS", 2)
    for number, value in enumerate((0.5, 0.9, 0.8)):
        complete(driver, number, {"val_accuracy": value})
    others = [submitted(service).json()["id"] for _ in range(2)]
    oldest = driver.job_id
    tpe = {"name": "tpe"}
    report = submitted(service, warm_start=[oldest, others[0]], algorithm=tpe).json()["warm_start_report"]
    assert (report[0]["used"], list(report[0]["unused"].values())) == (2, [1])
    assert "the best were" in next(iter(report[0]["unused"]))
    report = submitted(service, warm_start=[oldest, *others], algorithm=tpe).json()["warm_start_report"]
    assert report[0]["unused"] == {"only the 2 newest jobs are taken over": 3}
    for name in ("random", "sobol", "grid"):
        report = submitted(service, warm_start=[oldest], algorithm={"name": name}).json()["warm_start_report"]
        assert (report[0]["used"], report[0]["unused"]) == (0, {f"{name} learns nothing from trials": 3})


def test_another_tenants_job_is_not_found(service: Service, driver: Driver) -> None:
    answer = submitted(service, service.keys["speech/member"], warm_start=[driver.job_id])
    assert answer.status_code == 422
    [problem] = answer.json()["errors"]
    assert problem["field"] == "warm_start.0"
    assert "no tuning job" in problem["message"]
