"""Silence counts only while somebody could have heard."""

import dataclasses

from tests.control.test_decide import NOW, a_state, one_task
from tuning_service.control.decide import decide
from tuning_service.control.hearing import Hearing


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
