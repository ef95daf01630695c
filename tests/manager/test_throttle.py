"""How fast passwords may be guessed."""

import pytest

from tuning_service.domain.errors import TooManyRequests
from tuning_service.manager.throttle import Allowance, Throttle, neighbourhood

THREE = Allowance(burst=3, every_s=10.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def refused(throttle: Throttle, *counted) -> float:
    with pytest.raises(TooManyRequests) as caught:
        throttle.attempt(*counted)
    return caught.value.retry_after_s


def test_so_many_may_fail_at_once_and_one_more_after_each_pause(throttle, clock):
    for _ in range(3):
        throttle.attempt(("ada", THREE))
    assert refused(throttle, ("ada", THREE)) == pytest.approx(10.0)
    throttle.attempt(("bob", THREE))  # others are not concerned
    clock.now += 10.0
    throttle.attempt(("ada", THREE))
    assert refused(throttle, ("ada", THREE)) == pytest.approx(10.0)
    clock.now += 1000.0
    for _ in range(3):
        throttle.attempt(("ada", THREE))
    refused(throttle, ("ada", THREE))


def test_what_is_refused_counts_for_nobody(throttle):
    for _ in range(3):
        throttle.attempt(("ada", THREE))
    for _ in range(5):
        refused(throttle, ("10.0.0.1", THREE), ("ada", THREE))
    for _ in range(3):
        throttle.attempt(("10.0.0.1", THREE))


def test_successes_count_for_nothing_and_forgive_the_name_alone(throttle):
    counted = (("ada", THREE), ("10.0.0.1", THREE))
    throttle.attempt(("10.0.0.1", THREE))
    throttle.attempt(("ada", THREE))
    for _ in range(20):
        throttle.attempt(*counted)
        throttle.succeeded("ada", *counted)
    for _ in range(2):
        throttle.attempt(("10.0.0.1", THREE))
    refused(throttle, ("10.0.0.1", THREE))  # the failure from before is still known
    for _ in range(3):
        throttle.attempt(("ada", THREE))


def test_what_is_kept_has_a_bound(throttle, monkeypatch):
    monkeypatch.setattr("tuning_service.manager.throttle._MOST_KEPT", 100)
    for number in range(1000):
        throttle.attempt((number, THREE))
    assert len(throttle._until) <= 100
    throttle.attempt((999, THREE), (999, THREE))
    refused(throttle, (999, THREE))  # the newest are kept


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("somebody", "somebody"),
    ],
)
def test_one_guest_is_one_address(address, counted):
    assert neighbourhood(address) == counted
