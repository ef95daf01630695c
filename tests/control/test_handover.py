"""Jobs that wait at a full controller go to another one of the pool that has slots free."""

import dataclasses
import time

from tests.control.test_bad_pools import owner
from tests.control.test_shares import demand
from tests.samples import a_spec, a_tenant, stored_job
from tests.waiting import wait_for
from tuning_service.control import handover
from tuning_service.control.handover import Handover
from tuning_service.domain.job import Budget
from tuning_service.domain.pool import ControllerSeen
from tuning_service.domain.state import JobStatus
from tuning_service.storage.pools import PoolRows

WAITS = "Waits for free slots. It is the next."


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def another(*, cpus=4, gpus=0, seen_at=0.0):
    return ControllerSeen(
        id="other",
        pool="default",
        version="",
        host="node1",
        pid=1,
        started_at=0.0,
        seen_at=seen_at,
        lease_s=15.0,
        connected=True,
        cpus=cpus,
        gpus=gpus,
    )


def test_only_a_job_that_has_waited_for_slots_and_runs_nothing_may_go():
    clock = Clock()
    hand = Handover(clock)
    hand.note("waits", demand(), WAITS)
    hand.note("runs", demand(running=1), WAITS)
    hand.note("quota", demand(), "Waits: the tenant's quota of 1 trial in parallel is in use.")
    assert hand.due == []
    clock.now += handover.PATIENCE_S
    assert hand.due == ["waits"]
    hand.note("waits", demand(), "")
    assert hand.due == []


def test_it_goes_where_there_is_room_for_it_and_no_more_go_than_there_is_room_for():
    for job, other, used, goes in (
        (demand(), another(cpus=4), {}, True),
        (demand(), another(cpus=4), {"other": (4, 0.0)}, False),
        (demand(cpus=2), another(cpus=4), {"other": (3, 0.0)}, False),
        (demand(gpus=0.5), another(cpus=4), {}, False),
        (demand(gpus=0.5), another(cpus=4, gpus=1), {"other": (1, 0.5)}, True),
    ):
        assert list(Handover().leave({"job": job}, [other], used)) == (["job"] if goes else [])
    both = {"one": demand(wanted=4), "two": demand(wanted=4)}
    assert list(Handover().leave(both, [another(cpus=4)], {})) == ["one"]


def test_a_job_that_was_left_is_not_taken_at_once_and_not_left_again_for_a_while():
    clock = Clock()
    hand = Handover(clock)
    assert list(hand.leave({"job": demand()}, [another()], {})) == ["job"]
    assert hand.held_back == {"job"}
    clock.now += 6
    assert hand.held_back == set(), "nobody took it"
    hand.note("job", demand(), WAITS)
    clock.now += handover.PATIENCE_S
    assert hand.due == []
    clock.now += handover.KEPT_S
    assert hand.due == ["job"]


def test_no_job_goes_where_another_waits_for_the_same_slots(house, monkeypatch):
    monkeypatch.setattr(handover, "PATIENCE_S", 0.05)
    looks = []
    look = PoolRows.controllers_with
    monkeypatch.setattr(PoolRows, "controllers_with", lambda rows, **what: looks.append(1) or look(rows, **what))
    backend = house.cluster(slots=1)
    backend.go_on.clear()
    house.controller(backend)
    house.submit(Budget(trials=3, parallel=1))
    wait_for(lambda: backend.submitted)
    theirs = stored_job(house.store, house.alice, status=JobStatus.RUNNING, reason=WAITS, spec=a_spec(pool="theirs"))
    with house.store.write() as unit:
        wanted = unit.control.claimable_jobs(1.0, held=(), pool="theirs")
        assert unit.control.claim_jobs(wanted, "other", 1.0, 1e12)
        unit.pools.heard_of(another(seen_at=time.time() + 60))
    small = house.submit(Budget(trials=2, parallel=1), a_tenant(house.store, "b"))
    wait_for(lambda: len(looks) >= 3)
    assert owner(house, small) not in {None, "other"}
    with house.store.write() as unit:
        unit.control.set_job(dataclasses.replace(theirs, reason=""), 1.0)
    wait_for(lambda: owner(house, small) is None)


def test_a_small_job_that_waits_at_a_full_controller_starts_at_another_that_comes_up(house, monkeypatch):
    monkeypatch.setattr(handover, "PATIENCE_S", 0.2)
    full, free = house.cluster(slots=1), house.cluster(slots=1)
    full.go_on.clear()
    house.controller(full)
    long = house.submit(Budget(trials=3, parallel=1))
    wait_for(lambda: full.submitted)
    small = house.submit(Budget(trials=2, parallel=1), a_tenant(house.store, "b"))
    wait_for(lambda: house.job(small).reason == WAITS)
    house.controller(free)
    house.until_status(small, JobStatus.COMPLETED)
    assert len(full.submitted) == 1
    assert len(free.submitted) == 2
    full.go_on.set()
    house.until_status(long, JobStatus.COMPLETED)
