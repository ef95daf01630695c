"""Best so far, checked by hand and against a plain loop."""

import random

import numpy as np
import pytest

from tests.analysis.tables import a_row, a_table, a_task
from tests.samples import a_job
from tuning_service.analysis.compare import compare
from tuning_service.analysis.history import MOST_ROWS, history, spark
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal


def test_values_times_and_costs_stand_in_the_order_of_ends() -> None:
    table = a_table(a_row(0, 0.5, ended_at=140.0), a_row(1, 0.8, ended_at=120.0), a_row(2, ended_at=130.0))
    tasks = [a_task(0, 110.0, 140.0), a_task(1, 110.0, 120.0), a_task(2, 120.0, 130.0), a_task(3, 130.0, None)]
    answer = history(table, tasks, None)
    assert answer["columns"] == {
        "number": [1, 2, 0],
        "ended": [1, 2, 3],
        "ended_at": [120.0, 130.0, 140.0],
        "elapsed": [20.0, 30.0, 40.0],
        "cost_cumulative": [0.01, 0.02, 0.05],
        "gpu_hours_cumulative": pytest.approx([5 / 3600, 10 / 3600, 25 / 3600]),
        "value": [0.8, None, 0.5],
        "best": [0.8, 0.8, 0.8],
        "status": [0, 1, 0],
        "feasible": [True, True, True],
    }
    assert answer["statuses"] == ["completed", "failed"]
    assert not answer["note"]


def test_a_trial_that_violates_a_constraint_is_never_the_best() -> None:
    answer = history(a_table(a_row(0, 0.9, violation=0.5), a_row(1, 0.7), a_row(2, 0.6)), [], None)
    assert answer["columns"]["best"] == [None, 0.7, 0.7]
    answer = history(a_table(a_row(0, 0.9, violation=0.5)), [], None)
    assert answer["columns"]["best"] == [None]
    assert "No completed trial meets the metric constraints" in answer["note"]


def test_thinning_keeps_every_new_best_and_the_last_trial() -> None:
    rng = random.Random(3)
    values = [rng.random() ** 4 for _ in range(10_000)]
    answer = history(a_table(*(a_row(i, v) for i, v in enumerate(values))), [], None)
    columns = answer["columns"]
    best, steps = -1.0, []
    for number, value in enumerate(values):
        if value > best:
            best = value
            steps.append(number)
    assert len(columns["number"]) == MOST_ROWS
    assert set(steps) <= set(columns["number"])
    assert columns["number"][-1] == 9999
    assert all(columns["best"][i] == max(values[: n + 1]) for i, n in enumerate(columns["number"]))
    assert "2,000 of 10,000" in answer["note"]


def test_less_is_better_where_the_goal_says_so() -> None:
    table = a_table(*(a_row(i, v) for i, v in enumerate([0.5, 0.7, 0.2])), goals={"accuracy": Goal.MINIMIZE})
    assert history(table, [], None)["columns"]["best"] == [0.5, 0.5, 0.2]


def test_each_of_several_objectives_has_its_history() -> None:
    rows = [a_row(0, 0.5, values={"accuracy": 0.5, "ms": 9.0}), a_row(1, 0.4, values={"accuracy": 0.4, "ms": 3.0})]
    table = a_table(*rows, goals={"accuracy": Goal.MAXIMIZE, "ms": Goal.MINIMIZE})
    assert history(table, [], "ms")["columns"]["best"] == [9.0, 3.0]
    with pytest.raises(InvalidRequest, match="no objective of this job"):
        history(table, [], "loss")


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ((), "There are no trials yet."),
        ((a_row(0, status="running", ended_at=None),), "No trial has completed yet."),
        ((a_row(0), a_row(1)), "No trial has completed: all failed or were stopped."),
    ],
)
def test_a_job_without_results_says_why(rows, note) -> None:
    answer = history(a_table(*rows), [], None)
    assert note in answer["note"]
    assert all(value is None for value in answer["columns"]["best"])


def test_a_spark_ends_with_the_best_of_all() -> None:
    values = np.random.default_rng(0).random(1000)
    line = spark(values, -1.0)
    assert len(line) == 30
    assert line == sorted(line)
    assert line[0] == values[0]
    assert line[-1] == values.max()
    assert spark(np.array([]), 1.0) == []


def test_jobs_are_compared_side_by_side() -> None:
    one = a_table(a_row(0, 0.5), a_row(1, 0.4), a_row(2, 0.9, params={"lr": 0.5, "optimizer": "adam"}), a_row(3, 0.1))
    answer = compare([(a_job(), one, [a_task(2, 110.0, 120.0)]), (a_job(), a_table(), [])])
    first, second = answer["jobs"]
    assert first["columns"] == {
        "ended": [1, 3, 4],
        "elapsed": [0.0, 20.0, 30.0],
        "cost": [0, 0.01, 0.01],
        "best": [0.5, 0.9, 0.9],
    }
    assert (first["best_trial"], first["best_value"]) == (2, 0.9)
    assert second["best_trial"] is None
    assert second["columns"]["best"] == []
    assert answer["parameters"][0] == {"name": "lr", "best": [0.5, None]}
    assert answer["note"] == "Without a completed trial: digits."
