"""Silence counts only while somebody could have heard."""

import contextlib
import dataclasses
import threading
import time

import pytest

from tests.control import clusters
from tests.control.test_decide import NOW, a_state, one_task
from tests.waiting import PATIENCE_S, wait_for
from tuning_service.control.decide import decide
from tuning_service.control.hearing import Hearing
from tuning_service.domain.job import Budget
from tuning_service.domain.state import TaskStatus
from tuning_service.manager.presence import Presence
from tuning_service.manager.task_desk import TaskDesk
from tuning_service.runner.protocol import Claim
from tuning_service.storage.artifacts import ArtifactStore


def test_silence_counts_from_the_first_look_and_from_the_end_of_each_gap():
    hearing = Hearing(60.0)
    assert hearing.at(1000.0) == 1000.0
    assert hearing.at(1001.0) == 1000.0
    assert hearing.at(1021.0) == 1000.0  # slow, and no outage yet
    assert hearing.at(1042.0) == 1042.0  # away for so long that runners may be silent through no fault of theirs
    assert hearing.at(1043.0) == 1042.0


def test_a_clock_that_goes_back_begins_anew():
    hearing = Hearing(60.0)
    hearing.at(5000.0)
    assert hearing.at(1400.0) == 1400.0


def test_a_task_is_not_lost_for_a_silence_that_nobody_listened_to():
    trial, task = one_task(heartbeat_at=NOW - 100)
    state = a_state(trials=[trial], tasks=[task], silent_s=60.0, hearing_since=NOW - 30)
    assert not decide(state).conclusions
    later = dataclasses.replace(state, now=NOW + 31)
    assert "silent for" in decide(later).conclusions[0].outcome.reason


def test_silence_counts_only_while_a_manager_is_there_to_hear():
    hearing = Hearing(60.0)
    assert hearing.at(1000.0, 999.0) == 1000.0
    assert hearing.at(1015.0, 999.0) == 1000.0  # the last word is old, and not too old yet
    assert hearing.at(1025.0, 999.0) == 1025.0
    assert hearing.at(1040.0, 999.0) == 1040.0
    assert hearing.at(1050.0, 1049.5) == 1040.0  # one is back: every runner is given the whole time anew
    assert hearing.at(1051.0, 1050.5) == 1040.0


class ClaimsAndIsSilent(clusters.Cluster):
    """A runner that cannot report."""

    def run(self, ticket):
        self.desk.claim(ticket.task_id, ticket.token, Claim(attempt=0, nonce=ticket.task_id, host="here"))
        self.claimed.release()
        self._is_stopped.wait()


@pytest.fixture
def clock():
    """A minute takes a second."""
    began, moment = time.monotonic(), time.time()
    return lambda: moment + 60 * (time.monotonic() - began)


@contextlib.contextmanager
def manager_here(store, clock):
    """As a manager that gives its word three times in a minute."""
    leaving = threading.Event()

    def speak():
        while True:
            with store.write() as unit:
                unit.managers.heard_of("manager", clock())
            if leaving.wait(0.05):
                return

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


def test_a_training_outlives_an_absence_of_all_managers_and_is_lost_for_silence_only_after_it(
    house, monkeypatch, clock
):
    monkeypatch.setattr("tuning_service.control.hearing._READ_S", 0.05)
    house.desk = TaskDesk(house.store, house.artifacts, notify=house.notify, clock=clock)
    backend, silent_s = house.cluster(ClaimsAndIsSilent), 60.0
    with manager_here(house.store, clock):
        house.controller(backend, lease_s=3600.0, clock=clock, silent_s=silent_s, managers_apart=True)
        job = house.submit(Budget(trials=1))
        assert backend.claimed.acquire(timeout=PATIENCE_S)
    claimed_at = clock()
    wait_for(lambda: clock() > claimed_at + 4 * silent_s)
    [task] = house.tasks(job)
    assert task.status is TaskStatus.CLAIMED
    back_at = clock()
    with manager_here(house.store, clock):
        wait_for(lambda: house.tasks(job)[0].status is TaskStatus.LOST)
    [lost, *_] = house.tasks(job)
    assert lost.outcome.failure == "silent"
    assert lost.ended_at >= back_at + silent_s / 2, "it was given the time anew"


def test_a_manager_gives_its_word_while_it_is_there(sqlite_store, tmp_path):
    presence = Presence(sqlite_store, ArtifactStore(str(tmp_path)), apart=True)
    began = time.time()

    def word():
        with sqlite_store.read() as unit:
            return unit.managers.last_word()

    with presence.kept():
        wait_for(lambda: word() >= began)
        first = word()
        wait_for(lambda: word() > first)
    assert word() == 0.0
