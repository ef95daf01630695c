"""What running trials have measured last, on each kind of database."""

import math

import pytest

from tests.samples import a_task, a_trial, stored_job
from tuning_service.domain.state import TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement


@pytest.fixture
def job(store, alice):
    return stored_job(store, alice)


def an_execution(store, trial, number, points):
    """Of a trial that runs: what it has measured, as (step, metric, value)."""
    task = a_task(trial, number=number, status=TaskStatus.CLAIMED, claimed_at=5.0)
    measured = tuple(Measurement(step=s, metric=m, value=v, elapsed_s=0.0) for s, m, v in points)
    with store.write() as unit:
        unit.control.add_tasks([task])
        unit.runner.report(task, measured, 0, 6.0)


def a_running_trial(store, job, number):
    trial = a_trial(job, number, status=TrialStatus.RUNNING)
    with store.write() as unit:
        unit.control.add_trials([trial])
    return trial


def test_the_last_step_counts_of_the_newest_execution(store, alice, bob, job):
    first, second, silent = (a_running_trial(store, job, number) for number in range(3))
    an_execution(store, first, 0, [(9, "accuracy", 0.9), (9, "old", 1.0)])
    an_execution(store, first, 1, [(2, "accuracy", 0.2), (1, "accuracy", 0.1), (1, "loss", math.inf)])
    an_execution(store, second, 0, [(1, "accuracy", 0.5), (2, "accuracy", math.nan)])
    ids = [first.id, second.id, silent.id]
    with store.read() as unit:
        found = unit.for_tenant(alice).last_values.of_trials(ids, ["accuracy"])
        assert unit.for_tenant(bob).last_values.of_trials(ids, ["accuracy"]) == {}
    assert found[first.id] == {"accuracy": 0.2, "loss": math.inf}
    assert math.isnan(found[second.id]["accuracy"])
    assert silent.id not in found


def test_a_metric_that_is_measured_seldom_is_looked_for_far_back(store, alice, job):
    trial = a_running_trial(store, job, 0)
    losses = [(step, "loss", 1 / (step + 1)) for step in range(500)]
    an_execution(store, trial, 0, [(3, "accuracy", 0.3), (7, "accuracy", 0.7), (7, "unasked", 1.0), *losses])
    with store.read() as unit:
        rows = unit.for_tenant(alice).last_values
        assert rows.of_trials([trial.id], ["accuracy", "never"])[trial.id] == {"accuracy": 0.7, "loss": 1 / 500}
