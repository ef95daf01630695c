"""Budgets that change while a job runs, and single trials that are stopped: what is decided, and what comes of it."""

import dataclasses

import pytest

from tests.control.test_decide import NOW, a_state, one_task, suggestions
from tests.samples import a_job, a_trial
from tests.waiting import PATIENCE_S, wait_for
from tuning_service.control.asking import Search
from tuning_service.control.decide import decide, wanted
from tuning_service.control.job_state import Result
from tuning_service.domain.errors import Conflict
from tuning_service.domain.job import Budget
from tuning_service.domain.state import JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Outcome
from tuning_service.manager.steering_mgr import BudgetChange, JobChange, SteeringMgr

MEASURED = Result(values={"accuracy": 0.5}, metrics={"accuracy": 0.5})
LOST = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, reason="gone")
STOPPED = Outcome(status=TaskStatus.STOPPED, reason="told to")


def unwanted(trial):
    return dataclasses.replace(trial, stop_requested=True)


def test_with_fewer_trials_than_there_are_a_job_ends_when_they_have_ended():
    trial, task = one_task()
    counts = {TrialStatus.COMPLETED: 5}
    running = a_state(budget=Budget(trials=3), trials=[trial], tasks=[task], counts=counts, ready=suggestions(2))
    actions = decide(running)
    assert (wanted(running), actions.launch, actions.stop, actions.ask, actions.job) == (0, [], [], 0, None)
    after = decide(a_state(budget=Budget(trials=3), counts={TrialStatus.COMPLETED: 6}))
    assert after.job.status is JobStatus.COMPLETED


def test_a_completed_job_that_is_resumed_asks_for_what_a_larger_budget_adds():
    job = a_state(JobStatus.COMPLETED, budget=Budget(trials=6, parallel=4), counts={TrialStatus.COMPLETED: 3})
    begun = decide(job)
    assert (begun.job.status, begun.job.forgiven, begun.requeue_stopped) == (JobStatus.RUNNING, 3, True)
    assert decide(dataclasses.replace(job, job=begun.job)).ask == 3


def test_a_running_trial_that_its_user_stops_is_told_once_and_its_job_goes_on():
    trial, task = one_task()
    state = a_state(budget=Budget(trials=4, parallel=1), trials=[unwanted(trial)], tasks=[task])
    actions = decide(state)
    assert (actions.stop, actions.job, actions.launch) == ([task], None, [])
    told = dataclasses.replace(task, stop_requested=True)
    assert not decide(dataclasses.replace(state, tasks=[told])).stop


@pytest.mark.parametrize("outcome", [STOPPED, LOST])
@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.STOPPING])
def test_what_a_stopped_trial_measured_is_kept_and_it_does_not_run_again(outcome, status):
    trial, task = one_task(outcome.status, outcome=outcome, stop_requested=True)
    state = a_state(status, trials=[unwanted(trial)], tasks=[task], results={task.id: MEASURED})
    [conclusion] = decide(state).conclusions
    ended = conclusion.trial
    assert conclusion.final
    assert (ended.status, ended.value, ended.metrics) == (TrialStatus.STOPPED, 0.5, {"accuracy": 0.5})
    assert ended.reason == "Stopped on request."


def test_a_training_that_ends_by_itself_before_the_stop_reaches_it_has_completed():
    trial, task = one_task(TaskStatus.SUCCEEDED, outcome=Outcome(status=TaskStatus.SUCCEEDED), stop_requested=True)
    [conclusion] = decide(a_state(trials=[unwanted(trial)], tasks=[task], results={task.id: MEASURED})).conclusions
    assert conclusion.trial.status is TrialStatus.COMPLETED


@pytest.mark.parametrize("target", [JobTarget.RUNNING, JobTarget.STOPPED])
def test_a_queued_trial_that_its_user_stops_is_dropped_for_good(target):
    trials = [unwanted(a_trial(a_job(), 0)), a_trial(a_job(), 1)]
    state = a_state(target=target, budget=Budget(trials=2, parallel=2), trials=trials)
    actions = decide(state)
    [dropped] = actions.dropped
    assert (dropped.number, dropped.status, dropped.ended_at) == (0, TrialStatus.STOPPED, NOW)
    assert [task.trial_number for task in actions.launch] == [1] * (target is JobTarget.RUNNING)
    assert [trial.number for trial in actions.shelve] == [1] * (target is JobTarget.STOPPED)
    assert wanted(state) == (target is JobTarget.RUNNING)


def test_stopped_trials_neither_end_a_row_of_failures_nor_count_in_one():
    job = a_job()
    failed = [a_trial(job, n, status=TrialStatus.FAILED, reason="no") for n in range(2)]
    cut = a_trial(job, 2, status=TrialStatus.STOPPED, values={"accuracy": 0.5}, stop_requested=True)
    search = Search.of(job, (), [*failed, cut])
    assert (len(search.failures), search.settled) == (2, 3)
    assert search.history[-1].losses == (-0.5,)
    unmeasured = dataclasses.replace(cut, values={})
    assert not Search.of(job, (), [unmeasured]).history[0].telling


# -- with controllers


def completed(house, job):
    return [t.number for t in house.trials(job) if t.status is TrialStatus.COMPLETED]


def steering(house):
    return SteeringMgr(house.store, notify=house.notify)


def change(house, job, **budget):
    steering(house).change(house.alice, job.id, JobChange(budget=BudgetChange(**budget)))


def test_a_job_that_runs_takes_up_another_budget_within_seconds(house):
    backend = house.cluster(slots=3)
    backend.go_on.clear()
    house.controller(backend)
    job = house.submit(Budget(trials=1000, parallel=1))
    assert backend.claimed.acquire(timeout=PATIENCE_S)
    change(house, job, parallel=3)
    for _ in range(2):
        assert backend.claimed.acquire(timeout=PATIENCE_S)
    change(house, job, trials=2)
    backend.go_on.set()
    house.until_status(job, JobStatus.COMPLETED)
    assert len(completed(house, job)) == len(house.trials(job)), "what ran has ended by itself"
    made = len(house.trials(job))
    change(house, job, trials=made + 2)
    house.aim(job, JobTarget.RUNNING)
    wait_for(lambda: len(completed(house, job)) == made + 2)
    assert house.until_status(job, JobStatus.COMPLETED).target is JobTarget.STOPPED


def test_one_trial_is_stopped_while_its_job_goes_on(house):
    backend = house.cluster(slots=1)
    backend.go_on.clear()
    house.controller(backend)
    job = house.submit(Budget(trials=2, parallel=1))
    assert backend.claimed.acquire(timeout=PATIENCE_S)
    steering(house).stop_trial(house.alice, job.id, 0)
    assert backend.claimed.acquire(timeout=PATIENCE_S), "the next one has its place"
    first, _ = house.trials(job)
    assert (first.status, first.reason, first.value) == (TrialStatus.STOPPED, "Stopped on request.", 0.5)
    with pytest.raises(Conflict, match="Trial 0 has ended"):
        steering(house).stop_trial(house.alice, job.id, 0)
    backend.go_on.set()
    house.until_status(job, JobStatus.COMPLETED)
    assert completed(house, job) == [1]
    with house.store.read() as unit:
        assert [t.number for t in unit.control.settled_trials(job.id)] == [0, 1]
