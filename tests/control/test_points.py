"""Points that are tried first, driven by real controllers on a real database."""

import threading

import pytest

from tests.control import clusters
from tests.control.house import vanish
from tests.samples import a_spec, stored_job
from tests.waiting import wait_for
from tuning_service.control.job_ctrl import TuningJobCtrl
from tuning_service.domain.errors import Conflict, InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, Budget
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, JobTarget, TrialStatus
from tuning_service.manager.points import enqueue, first_queue

LR = {"type": "float", "min": 0.0, "max": 1.0, "default": 0.5}


def submit(house, points=(), *, budget, space=None, name="random"):
    """A job as the manager stores it, its points queued."""
    spec = a_spec(
        framework="plain",
        budget=budget,
        space=space or Space.from_dict({"lr": LR}),
        points=tuple(points),
        algorithm=AlgorithmChoice(name=name),
    )
    job = stored_job(house.store, house.alice, spec=spec)
    with house.store.write() as unit:
        unit.for_tenant(house.alice).add_points(job.id, first_queue(spec))
    house.notify(job.id)
    return job


def add(house, job, points):
    with house.store.write() as unit:
        queued = enqueue(unit.for_tenant(house.alice), job.id, points)
    house.notify(job.id)
    return queued


def queue_of(house, job):
    with house.store.read() as unit:
        return unit.for_tenant(house.alice).points(job.id)


def sources(house, job):
    return [trial.source for trial in house.trials(job)]


def test_defaults_come_first_then_points_in_their_order_then_the_algorithm(house):
    house.controller(house.cluster())
    job = submit(house, [{"lr": 0.25}, {"lr": 0.75}, {"lr": 0.125}], budget=Budget(trials=6, parallel=2))
    house.until_status(job, JobStatus.COMPLETED)
    assert sources(house, job) == ["default", "point 1", "point 2", "point 3", "", ""]
    assert [t.params["lr"] for t in house.trials(job)][:4] == [0.5, 0.25, 0.75, 0.125]
    assert [p.trial for p in queue_of(house, job)] == [0, 1, 2, 3]
    assert house.job(job).queued_points == 0


def test_a_point_that_repeats_the_defaults_is_tried_once(house):
    house.controller(house.cluster())
    job = submit(house, [{"lr": 0.25}, {"lr": 0.5}], budget=Budget(trials=2))
    house.until_status(job, JobStatus.COMPLETED)
    assert sources(house, job) == ["point 1", "point 2"]


def test_what_points_tried_is_not_suggested_again_and_a_small_space_ends_with_its_constraints(house):
    house.controller(house.cluster())
    space = Space.from_dict(
        {
            "lr": {"type": "float", "min": 0.1, "max": 0.3, "step": 0.1},
            "flag": {"type": "bool", "default": True},
        },
        ["lr < 0.25 or not flag"],
    )
    job = submit(house, [{"lr": 0.3, "flag": False}], budget=Budget(trials=50, parallel=2), space=space)
    ended = house.until_status(job, JobStatus.COMPLETED)
    assert ended.reason == "Every configuration has been tried."
    tried = [(t.params["lr"], t.params["flag"]) for t in house.trials(job)]
    assert tried[:2] == [(0.2, True), (0.3, False)]
    assert sorted(tried) == [(0.1, False), (0.1, True), (0.2, False), (0.2, True), (0.3, False)]


def test_where_constraints_leave_next_to_nothing_the_algorithm_begins_at_the_points(house):
    house.controller(house.cluster())
    entries = {name: {"type": "float", "min": 0, "max": 1} for name in "xy"}
    space = Space.from_dict(entries, ["(x > 0.12345) + (x < 0.12346) + (y > 0.76543) + (y < 0.76544) == 4"])
    job = submit(house, [{"x": 0.123455, "y": 0.765435}], budget=Budget(trials=4), space=space)
    ended = house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED)
    assert (ended.status, ended.reason) == (JobStatus.COMPLETED, "")
    assert len({t.params["x"] for t in house.trials(job)}) == 4


def test_a_sliver_that_holds_one_point_alone_ends_with_that_reason(house):
    house.controller(house.cluster())
    space = Space.from_dict({name: {"type": "float", "min": 0, "max": 1} for name in "xy"}, ["x + y == 1"])
    ended = house.until_status(submit(house, budget=Budget(trials=9), space=space), JobStatus.COMPLETED)
    assert ended.reason == "random found no further configuration that the constraints allow."


def test_points_that_come_while_a_job_runs_are_taken_next_and_may_repeat_a_trial(house):
    backend = house.cluster(slots=1)
    backend.go_on.clear()
    house.controller(backend)
    job = submit(house, budget=Budget(trials=5))
    assert backend.claimed.acquire(timeout=30)
    queued = add(house, job, [{"lr": 0.5}, {}, {"lr": 0.5}])
    assert [(p.position, p.source, p.params) for p in queued] == [(i, f"point {i}", {"lr": 0.5}) for i in (1, 2, 3)]
    with pytest.raises(InvalidRequest, match="of which 1 of 5 are left: 1 are trials already and 3 are queued points"):
        add(house, job, [{"lr": 0.1}, {"lr": 0.2}])
    backend.go_on.set()
    house.until_status(job, JobStatus.COMPLETED)
    assert sources(house, job) == ["default", "point 1", "point 2", "point 3", ""]


def test_a_job_that_does_not_run_takes_no_points_and_says_why(house):
    house.controller(house.cluster())
    done = submit(house, budget=Budget(trials=1))
    house.until_status(done, JobStatus.COMPLETED)
    with pytest.raises(Conflict, match=r"has completed; raise budget\.trials"):
        add(house, done, [{"lr": 0.1}])
    stopped = submit(house, budget=Budget(trials=1000))
    house.aim(stopped, JobTarget.STOPPED)
    house.until_status(stopped, JobStatus.STOPPED)
    with pytest.raises(Conflict, match="stopped; resume it"):
        add(house, stopped, [{"lr": 0.1}])
    house.aim(stopped, JobTarget.RUNNING)
    add(house, stopped, [{"lr": 0.1}])
    wait_for(lambda: house.job(stopped).queued_points == 0)
    assert "point 1" in sources(house, stopped)


@pytest.mark.parametrize("house", ["sqlite_store", "postgres_store"], indirect=True)
def test_a_killed_service_tries_each_point_once(house):
    first = house.cluster(slots=2)
    dead = house.controller(first, lease_s=1000.0)
    points = [{"lr": i / 64} for i in range(20)]
    job = submit(house, points, budget=Budget(trials=25, parallel=2))
    wait_for(lambda: len(house.trials(job)) > 4)
    first.go_on.clear()
    vanish(dead)
    house.controllers.remove(dead)
    first.stop()

    house.controller(house.cluster(slots=2), alone=True)
    house.until_status(job, JobStatus.COMPLETED)
    assert sources(house, job) == ["default", *(f"point {i + 1}" for i in range(20)), *[""] * 4]
    assert [p.trial for p in queue_of(house, job)] == list(range(21))
    assert {t.status for t in house.trials(job)} == {TrialStatus.COMPLETED}


@pytest.mark.parametrize("house", ["sqlite_store", "postgres_store"], indirect=True)
def test_whatever_points_come_at_whatever_moment_those_that_were_taken_in_are_tried(house):
    house.controller(house.cluster(slots=3))
    job = submit(house, budget=Budget(trials=60, parallel=3))
    taken = []

    def add_until_refused():
        while True:
            try:
                taken.extend(add(house, job, [{"lr": 0.25}]))
            except (Conflict, InvalidRequest):
                return

    adding = [threading.Thread(target=add_until_refused) for _ in range(2)]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join(60)
    house.until_status(job, JobStatus.COMPLETED)
    assert len(house.trials(job)) == 60
    made = {t.number: t.source for t in house.trials(job)}
    queue = [p for p in queue_of(house, job) if p.position]
    assert sorted(p.position for p in queue) == sorted(p.position for p in taken) == list(range(1, len(taken) + 1))
    assert [made[p.trial] for p in queue] == [f"point {p.position}" for p in queue]
    assert house.job(job).queued_points == 0


def test_points_wait_for_slots_without_the_algorithm_being_asked(house):
    backend = house.cluster(clusters.NeverStarts, slots=2)
    house.controller(backend)
    job = submit(house, [{"lr": 0.25}, {"lr": 0.75}], budget=Budget(trials=10, parallel=2))
    wait_for(lambda: len(backend.submitted) == 2)
    assert sources(house, job) == ["default", "point 1"]
    assert house.job(job).queued_points == 1


def test_points_that_come_between_a_look_and_its_commit_are_not_left_over(house):
    backend = house.cluster()
    job = submit(house, budget=Budget(trials=8))
    with house.store.write() as unit:
        [lease] = unit.control.claim_jobs(unit.control.claimable_jobs(0.0, held=()), "one", 0.0, 1e9)
    ctrl = TuningJobCtrl(lease, house.tools(backend))

    def grant(demand):
        made = len(house.trials(job))
        if made >= 4 and len(queue_of(house, job)) == 1:
            # The algorithm is awake, so that what it suggests would be stored by this very step: one trial too few.
            add(house, job, [{"lr": 0.25}] * (8 - made))
        return demand.wanted, ""

    wait_for(lambda: ctrl.step(grant) is not None and ctrl.finished)
    ctrl.close()
    assert house.job(job).status is JobStatus.COMPLETED
    assert sources(house, job) == ["default", "", "", "", *(f"point {i + 1}" for i in range(4))]
