"""Machines whose clocks are wrong: what is stored is dated by the database's clock."""

import time

import pytest
from structlog.testing import capture_logs

from tests.samples import a_tenant, stored_job
from tests.waiting import wait_for
from tuning_service.storage.clock import DatabaseClock

HOUR = 3600.0


def an_hour_ahead():
    return time.time() + HOUR


@pytest.mark.parametrize("off_s", [-HOUR, 0.0, HOUR])
def test_the_time_is_the_databases_however_wrong_the_machine_is(store, off_s):
    with capture_logs() as logs:
        clock = DatabaseClock(store.engine, machine=lambda: time.time() + off_s)
    assert abs(clock() - time.time()) < 2  # the database of the tests is on this machine
    assert abs(clock.skew_s - off_s) < 2
    assert [e["event"] for e in logs] == ["this machine's clock is not the database's; the database's is used"] * (
        off_s != 0
    )


def test_it_goes_on_between_looks_and_says_once_when_the_skew_comes_and_goes(sqlite_store):
    off = [0.0]
    clock = DatabaseClock(sqlite_store.engine, machine=lambda: time.time() + off[0])
    first = clock()
    assert clock() >= first
    with capture_logs() as logs:
        for off[0] in (HOUR, HOUR, 0.0, 0.0):
            clock.look()
    assert [e["log_level"] for e in logs] == ["warning", "info"]


def test_a_machine_that_has_slept_knows_the_time_when_it_wakes(sqlite_store, monkeypatch):
    before = DatabaseClock(sqlite_store.engine)
    clock, now = time.clock_gettime, before()
    slept = {time.CLOCK_BOOTTIME: HOUR}  # the monotonic clock has stood still
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + slept.get(which, 0.0))
    assert abs(before() - now - HOUR) < 2


def test_a_database_that_is_away_for_a_while_leaves_the_time_as_it_was(sqlite_store, monkeypatch):
    clock = DatabaseClock(sqlite_store.engine)
    looked = []

    def away():
        looked.append(1)
        raise ConnectionError("away")

    monkeypatch.setattr(clock, "look", away)
    with capture_logs() as logs, clock.kept(every_s=0.01):
        wait_for(lambda: len(looked) >= 2)
    assert abs(clock() - time.time()) < 2
    assert all("could not be read" in e["event"] for e in logs)


def test_a_controller_whose_clock_is_an_hour_ahead_takes_no_lease_that_another_holds(store):
    right = DatabaseClock(store.engine)
    wrong = DatabaseClock(store.engine, machine=an_hour_ahead)
    job = stored_job(store, a_tenant(store, "a"))
    with store.write() as unit:
        due = unit.control.claimable_jobs(right(), held=[])
        assert unit.control.claim_jobs(due, "one", right(), 15.0)
    with store.write() as unit:
        assert unit.control.claimable_jobs(wrong(), held=[]) == []
        # By its machine's clock it would have.
        assert [found.job_id for found in unit.control.claimable_jobs(an_hour_ahead(), held=[])] == [job.id]
