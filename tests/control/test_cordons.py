"""Executors that are left out: by an operator, and by themselves when trials die there in one way."""

import itertools
import threading
import time

import pytest

from tests.control import clusters
from tests.waiting import wait_for
from tuning_service.compute.base import Capacity
from tuning_service.control import cordons, reconciler
from tuning_service.control.cordons import leave_out, suspects, without
from tuning_service.domain.errors import GiveUp
from tuning_service.domain.job import Budget, Resources
from tuning_service.domain.pool import OPERATOR, SERVICE, Cordon
from tuning_service.domain.state import JobStatus, TaskStatus
from tuning_service.domain.trial import FaultKind, Outcome
from tuning_service.runner.protocol import Claim, Park, Report
from tuning_service.storage.cordons import Death, Life, Parked


@pytest.fixture(autouse=True)
def watchful(monkeypatch):
    monkeypatch.setattr(reconciler, "_DOUBT_S", 0.05)


numbers = itertools.count()


def died(host, at, way="disk full", configuration=None, ran_s=1.0):
    name = configuration or f"c{next(numbers)}"
    return Death(host=host, configuration=name, trial_id=name, way=way, ran_s=ran_s, at=at)


def lived(host, at, *, succeeded=True, running=False, ran_s=100.0):
    return Life(host=host, succeeded=succeeded, running=running, ran_s=ran_s, at=at)


THREE = [died("bad", 13.0), died("bad", 12.0), died("bad", 11.0)]


@pytest.mark.parametrize(
    ("deaths", "lives", "found"),
    [
        (THREE, [lived("good", 12.0)], ["bad"]),
        (THREE, [lived("good", 12.0, succeeded=False)], ["bad"]),  # its program's own failure: the executor worked
        (THREE, [lived("good", 20.0, succeeded=False, running=True)], ["bad"]),
        (THREE, [lived("good", 20.0, succeeded=False, running=True, ran_s=0.5)], []),  # may die yet
        (THREE, [], []),  # nothing to compare with
        (THREE, [lived("good", 10.0)], []),  # before it began
        (THREE[:2], [lived("good", 12.0)], []),
        (THREE, [lived("good", 12.0), lived("bad", 12.5)], []),  # a success between
        (THREE, [lived("good", 12.0), lived("bad", 10.5)], ["bad"]),
        ([died("bad", t, configuration="same") for t in (13, 12, 11)], [lived("good", 12.0)], []),
        ([*THREE[:2], died("bad", 11.0, way="silent")], [lived("good", 12.0)], []),
        # A fault that is everywhere is not one executor's.
        ([*THREE, *(died("other", t) for t in (13, 12, 11))], [], []),
        ([*THREE, died("other", 12.0)], [lived("good", 12.0)], []),
        ([*THREE, died("other", 12.0)], [lived("good", 12.0), lived("well", 12.0)], ["bad"]),
    ],
)
def test_an_executor_is_suspect_when_trials_die_there_alike_and_others_are_well(deaths, lives, found):
    assert [s.host for s in suspects(deaths, lives)] == found


def test_what_was_before_a_cordon_ended_is_forgiven():
    assert suspects(THREE, [lived("good", 12.0)], {"bad": 11.5}) == []
    assert [s.count for s in suspects(THREE, [lived("good", 12.0)], {"bad": 10.5})] == [3]


def test_held_slots_are_no_capacity():
    whole = Capacity(cpus=8, gpus=4, largest_cpus=4, largest_gpus=2)
    free = without(whole, [Parked(host="bad", cpus=2, gpus=0.5), Parked(host="bad", cpus=2, gpus=1.0)])
    assert (free.cpus, free.gpus, free.largest_cpus) == (4, 2, 4)
    assert without(whole, [Parked(host="bad", cpus=99, gpus=9.0)]).slots(Resources()) == 0


class Hosts(clusters.Cluster):
    """A slot on each of several hosts, taken in order; of which the first loses every training that it is given."""

    names = ("bad", "good", "well")

    def __init__(self, desk, *, slots=3):
        super().__init__(desk, slots=slots)
        self.free = list(self.names)
        self.parked = threading.Event()
        self.begun = []  # hosts
        self.ended_parks = []
        self._slot = threading.Condition()

    def run(self, ticket):
        with self._slot:
            self._slot.wait_for(lambda: self.free or self._is_stopped.is_set(), 30)
            if self._is_stopped.is_set():
                return
            host = min(self.free, key=self.names.index)
            self.free.remove(host)
        try:
            self.on_host(ticket, host)
        finally:
            with self._slot:
                self.free.append(host)
                self._slot.notify_all()

    def on_host(self, ticket, host):
        claim = Claim(attempt=0, nonce=ticket.task_id, host=host)
        try:
            while isinstance(plan := self.desk.claim(ticket.task_id, ticket.token, claim), Park):
                self.parked.set()
                if self._is_stopped.wait(0.05):
                    return
        except GiveUp:
            if self.parked.is_set() and host == "bad":
                self.ended_parks.append(host)
            return
        self.begun.append(host)
        if host == "bad" and not self.mended:
            full = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, failure="disk full", reason="No space left")
            self.desk.report(plan.task_id, plan.token, Report(outcome=full))
            return
        self._is_stopped.wait(0.02)
        self.report(plan, TaskStatus.SUCCEEDED)

    mended = False

    def stop(self):
        self._is_stopped.set()
        with self._slot:
            self._slot.notify_all()
        super().stop()


def held(house, host="bad"):
    with house.store.read() as unit:
        return unit.cordons.find("default", host, time.time())


def test_an_executor_on_which_trials_die_is_left_out_by_itself_and_no_trial_is_lost_for_it(house):
    backend = house.cluster(Hosts)
    # A trial that was lost twice rests, so that others meet the bad executor before one is lost for good.
    house.controller(backend, retry_pause_s=0.5)
    job = house.submit(Budget(trials=30, parallel=3))
    assert house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED).status is JobStatus.COMPLETED
    assert {t.status for t in house.trials(job)} == {"completed"}
    wait_for(lambda: held(house))
    cordon = held(house)
    assert (cordon.set_by, cordon.ends_at - cordon.created_at) == (SERVICE, cordons.CORDON_S)
    assert cordon.reason.endswith("trials in a row ended there: disk full; other executors are well")
    assert held(house, "good") is None
    sent_back = [t for t in house.tasks(job) if t.outcome.failure == "cordoned"]
    for task in sent_back:
        assert task.outcome.fault is FaultKind.SERVICE
        assert task.outcome.reason == f"not begun: the executor on bad is left out: {cordon.reason}"


def put(house, host, **changes):
    now = time.time()
    with house.store.write() as unit:
        unit.cordons.put(
            Cordon(pool="default", host=host, reason="new disk", set_by=OPERATOR, created_at=now, **changes)
        )


def test_a_cordoned_executor_gets_no_trials_until_it_is_uncordoned(house):
    put(house, "bad")
    backend = house.cluster(Hosts)
    backend.mended = True
    house.controller(backend)
    job = house.submit(Budget(trials=120, parallel=3))
    wait_for(lambda: len(backend.begun) > 20)
    assert "bad" not in backend.begun
    assert backend.parked.is_set()
    # The one slot is held by one task, sent back once.
    assert [t.host for t in house.tasks(job) if t.outcome and t.outcome.failure == "cordoned"] == ["bad"]
    with house.store.write() as unit:
        assert unit.cordons.end("default", "bad", time.time())
    wait_for(lambda: "bad" in backend.begun)
    assert backend.ended_parks
    assert house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED).status is JobStatus.COMPLETED


def test_a_job_says_when_all_executors_are_cordoned(house):
    for host in Hosts.names:
        put(house, host)
    backend = house.cluster(Hosts)
    house.controller(backend)
    job = house.submit(Budget(trials=4, parallel=4))
    wait_for(lambda: house.job(job).reason.startswith("Waits: the executors"), lambda: house.job(job))
    told = "Waits: the executors that are free are cordoned: bad (new disk); good (new disk); well (new disk)."
    wait_for(lambda: house.job(job).reason == told, lambda: house.job(job))
    assert backend.begun == []


def test_an_ended_cordon_does_not_come_back_for_what_was_before(house):
    backend = house.cluster(Hosts)
    house.controller(backend)
    house.until_status(house.submit(Budget(trials=30, parallel=3)), JobStatus.COMPLETED)
    with house.store.write() as unit:
        assert unit.cordons.end("default", "bad", time.time())
        assert not unit.cordons.end("default", "bad", time.time())
    leave_out(house.store, "default", time.time())
    assert held(house) is None


def test_a_job_that_dies_everywhere_cordons_nothing(house, monkeypatch):
    monkeypatch.setattr(Hosts, "names", ("bad",))
    house.controller(house.cluster(Hosts, slots=1))
    job = house.submit(Budget(trials=6, parallel=2, failures=6))
    house.until_status(job, JobStatus.FAILED)
    leave_out(house.store, "default", time.time())
    assert held(house) is None
