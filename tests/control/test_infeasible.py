"""Configurations that cannot be trained, driven by a real controller on a real database with a real program."""

import pytest

from tests.control import clusters
from tests.frameworks.test_caffe import COMMAND, KERNEL, LR, NET, SOLVER
from tests.rest_service import archive
from tests.samples import a_spec, stored_job
from tests.waiting import wait_for
from tuning_service.control.decide import MOST_INFEASIBLE
from tuning_service.domain.job import AlgorithmChoice, Budget
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, JobTarget, TrialStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.manager.points import first_queue
from tuning_service.runner.bundle import digest
from tuning_service.storage.tenant_scope import Program


def submit(house, budget, *, kernel=KERNEL, rate=LR, algorithm="random", points=()):
    data = archive({"solver.prototxt": SOLVER.encode(), "net.prototxt": NET.encode()})
    program = Program(digest=digest(data), bytes=len(data), files=("solver.prototxt", "net.prototxt"), created_at=1.0)
    house.artifacts.put_program(house.alice.tenant_id, program.digest, data)
    with house.store.write() as unit:
        unit.for_tenant(house.alice).add_program(program)
    spec = a_spec(
        framework="caffe",
        program=program.digest,
        command=COMMAND,
        space=Space.from_dict({"BASE_LR": rate, "KERNEL": kernel}),
        algorithm=AlgorithmChoice(name=algorithm),
        budget=budget,
        points=points,
    )
    job = stored_job(house.store, house.alice, spec=spec)
    house.notify(job.id)
    return job


def test_they_fail_without_a_task_and_name_their_layer(house):
    backend = house.cluster(slots=2)
    house.controller(backend)
    job = submit(house, Budget(trials=30, parallel=2, failures=2))
    house.until_status(job, JobStatus.COMPLETED)
    trials = house.trials(job)
    assert [trial.number for trial in trials] == list(range(30))
    bad = [trial for trial in trials if trial.params["KERNEL"] == 15]
    good = [trial for trial in trials if trial.params["KERNEL"] < 15]
    assert bad
    assert good
    for trial in bad:
        assert (trial.status, trial.fault, trial.tasks) == (TrialStatus.FAILED, FaultKind.INFEASIBLE, 0)
        assert trial.reason == "net.prototxt, line 3, layer conv1: kernel of 15 is larger than its input of 12"
        assert trial.ended_at is not None
    assert {(trial.status, trial.fault) for trial in good} == {(TrialStatus.COMPLETED, FaultKind.NONE)}
    assert len(backend.submitted) == len(good)
    with house.store.read() as unit:
        assert len(unit.control.settled_trials(job.id)) == 30


def test_the_algorithm_learns_of_them(house):
    house.controller(house.cluster(slots=1))
    # A grid goes on behind them: four values, of which one cannot be.
    job = submit(house, Budget(trials=50), rate={"type": "fixed", "value": 0.1}, algorithm="grid")
    ended = house.until_status(job, JobStatus.COMPLETED)
    assert ended.reason == "Every configuration has been tried."
    assert sorted(trial.params["KERNEL"] for trial in house.trials(job)) == [3, 7, 11, 15]


def test_a_space_without_anything_else_ends_with_the_reason(house):
    backend = house.cluster(slots=4)
    house.controller(backend)
    job = submit(house, Budget(trials=100_000, parallel=4), kernel={"type": "int", "min": 13, "max": 15})
    ended = house.until_status(job, JobStatus.FAILED)
    assert (
        "configurations in a row could not be trained. The last one: net.prototxt, line 3, layer conv1" in ended.reason
    )
    assert MOST_INFEASIBLE <= len(house.trials(job)) < MOST_INFEASIBLE + 4
    assert backend.submitted == []
    # Resumed, it gets as many again, and no endless loop.
    house.aim(job, JobTarget.RUNNING)
    wait_for(lambda: len(house.trials(job)) >= 2 * MOST_INFEASIBLE)
    house.until_status(job, JobStatus.FAILED)


def test_a_budget_of_nothing_but_them_says_so(house):
    house.controller(house.cluster())
    job = submit(house, Budget(trials=5, parallel=2), kernel={"type": "int", "min": 15, "max": 25})
    ended = house.until_status(job, JobStatus.FAILED)
    assert ended.reason.startswith("No trial succeeded. The last one: net.prototxt, line 3, layer conv1: kernel of")
    assert len(house.trials(job)) == 5


def test_a_program_that_fails_in_between_is_still_counted_in_a_row(house):
    house.controller(house.cluster(clusters.Fails, slots=1))
    job = submit(house, Budget(trials=1000, failures=3))
    ended = house.until_status(job, JobStatus.FAILED)
    assert "The last 3 trials all failed. The last one: exit code 1" in ended.reason
    trials = house.trials(job)
    assert sum(trial.fault is FaultKind.PROGRAM for trial in trials) == 3
    assert {trial.fault for trial in trials} <= {FaultKind.PROGRAM, FaultKind.INFEASIBLE}


@pytest.mark.parametrize("house", ["sqlite_store", "postgres_store"], indirect=True)
def test_points_may_be_infeasible_and_the_next_one_takes_the_slot(house):
    backend = house.cluster(slots=1)
    points = tuple({"BASE_LR": 0.01, "KERNEL": kernel} for kernel in (15, 3, 15, 7))
    job = submit(house, Budget(trials=4), points=points)
    with house.store.write() as unit:
        unit.for_tenant(house.alice).add_points(job.id, first_queue(house.job(job).spec))
    house.controller(backend)
    house.until_status(job, JobStatus.COMPLETED)
    assert [trial.params["KERNEL"] for trial in house.trials(job)] == [15, 3, 15, 7]
    assert [trial.source for trial in house.trials(job)] == [f"point {i}" for i in (1, 2, 3, 4)]
    assert len(backend.submitted) == 2
    assert house.job(job).queued_points == 0
