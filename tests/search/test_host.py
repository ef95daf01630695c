import os
import signal
import subprocess
import sys

import pytest

from tests.machine import is_running
from tests.waiting import wait_for
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import PendingTrial
from tuning_service.search.host import AlgorithmFailed, AlgorithmHost, AlgorithmSetup

SPACE = Space.from_dict(
    {
        "lr": {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"},
        "optimizer": {"type": "categorical", "values": ["sgd", "adam", True, 1]},
        "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd", 1]}},
    }
)


def setup(name="random", *, seed=3, space=SPACE, **options):
    return AlgorithmSetup(
        space=space,
        objectives=(Objective(metric="loss", goal=Goal.MINIMIZE),),
        algorithm=AlgorithmChoice(name=name, options=options),
        seed=seed,
    )


@pytest.fixture
def host():
    host = AlgorithmHost(children=1, timeout_s=60)
    yield host
    pids = host.pids()
    host.close()
    assert not [pid for pid in pids if is_running(pid)]


def search(session, steps, history=()):
    history = list(history)
    for _ in range(steps):
        (suggestion,) = session.ask(1, history, ()).result(60)
        history.append(
            Observation.of(number=len(history), params=suggestion.params, loss=float(suggestion.params["lr"]))
        )
    return history


def test_suggestions_cross_the_process_border_unchanged(host):
    params = [dict(s.params) for s in host.open("job", setup()).ask(30, [], []).result(60)]

    assert len(params) == 30
    for each in params:
        SPACE.check(each)
    assert {type(p["optimizer"]) for p in params} == {str, bool, int}


def test_a_killed_child_is_replaced_and_the_search_goes_on_as_if_nothing_had_happened(host):
    undisturbed = search(host.open("a", setup("tpe", startup_trials=3)), 10)

    disturbed_session = host.open("b", setup("tpe", startup_trials=3))
    first_half = search(disturbed_session, 5)
    (pid,) = host.pids()
    os.kill(pid, signal.SIGKILL)
    second_half = search(disturbed_session, 5, first_half)

    assert host.pids() != [pid]
    assert second_half == undisturbed


def test_a_child_killed_in_the_middle_of_an_answer_is_asked_again(host):
    session = host.open("job", setup())
    (expected,) = session.ask(1, [], []).result(60)
    (pid,) = host.pids()
    os.kill(pid, signal.SIGSTOP)  # so that the question is under way for certain when the child dies
    future = session.ask(1, [], [])
    wait_for(future.running)
    os.kill(pid, signal.SIGKILL)

    assert future.result(60) == [expected]


def test_a_child_that_always_dies_fails_the_algorithm_with_its_last_words(host, broken_algorithm):
    session = host.open("job", broken_algorithm("os.write(2, b'out of luck\\n'); os._exit(7)"))

    with pytest.raises(AlgorithmFailed, match="died twice: it ended with exit code 7") as caught:
        session.ask(1, [], []).result(60)
    assert "out of luck" in caught.value.detail


def test_an_algorithm_that_raises_fails_alone(host, broken_algorithm):
    bad = host.open("bad", broken_algorithm("raise ZeroDivisionError('by nought')"))
    good = host.open("good", setup())
    first = good.ask(1, [], []).result(60)
    (pid,) = host.pids()

    with pytest.raises(AlgorithmFailed, match="ZeroDivisionError: by nought") as caught:
        bad.ask(1, [], []).result(60)

    assert "_suggest" in caught.value.detail
    assert good.ask(1, [], []).result(60) == first
    assert host.pids() == [pid]


def test_an_algorithm_that_failed_once_is_shown_the_whole_history_again(host, broken_algorithm):
    session = host.open("job", broken_algorithm("if len(self.seen) == 2: raise ValueError('at two')"))
    history = search(session, 2)
    with pytest.raises(AlgorithmFailed, match="at two"):
        session.ask(1, history, []).result(60)

    history.append(Observation.of(number=2, params=history[0].params, loss=None))
    (suggestion,) = session.ask(1, history, []).result(60)

    assert suggestion.source == "seen [0, 1, 2]"


def test_each_observation_is_sent_once(host, broken_algorithm):
    session = host.open("job", broken_algorithm("pass"))
    history = search(session, 3)

    (suggestion,) = session.ask(1, history, []).result(60)

    assert suggestion.source == "seen [0, 1, 2]"


def test_an_answer_that_takes_too_long_ends_the_child(broken_algorithm):
    host = AlgorithmHost(children=1, timeout_s=5)
    session = host.open("job", broken_algorithm("while self.seen: pass"))
    history = search(session, 1)
    (pid,) = host.pids()
    with pytest.raises(AlgorithmFailed, match="no answer within 5 s"):
        session.ask(1, history, []).result(60)

    assert not is_running(pid)
    host.close()


def test_what_an_algorithm_prints_does_not_disturb_the_channel(host, broken_algorithm):
    session = host.open("job", broken_algorithm("print('{}\\n' * 10_000); os.write(1, b'noise\\n')"))

    assert len(session.ask(2, [], []).result(60)) == 2


def test_a_child_ends_with_its_service_even_while_it_computes(broken_algorithm):
    broken_algorithm("while self.seen: pass")
    with subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True) as service:
        pid = int(service.stdout.readline())
        assert is_running(pid)
        service.kill()

    wait_for(lambda: not is_running(pid), within_s=10)


SERVICE = """
import time
from tests.search.test_host import AlgorithmHost, search, setup
from tests.waiting import wait_for
host = AlgorithmHost(children=1)
session = host.open("job", setup("broken"))
future = session.ask(1, search(session, 1), [])
wait_for(future.running)
print(host.pids()[0], flush=True)
future.result()
"""


def test_losses_that_json_cannot_write_count_as_failures(host, broken_algorithm):
    session = host.open("job", broken_algorithm("pass"))
    history = search(session, 1)
    history += [
        Observation.of(number=1 + i, params=history[0].params, loss=loss)
        for i, loss in enumerate([float("nan"), float("inf"), float("-inf"), None])
    ]

    assert session.ask(1, history, []).result(60)


def test_a_suggestion_outside_the_space_never_gets_through(host, broken_algorithm):
    session = host.open("job", broken_algorithm("return [Suggestion(params={'lr': 7.0})]"))

    with pytest.raises(AlgorithmFailed, match=r"lr.*outside the space"):
        session.ask(1, [], []).result(60)


def test_pending_trials_reach_the_algorithm(host):
    space = Space.from_dict({"x": {"type": "int", "min": 1, "max": 3}})
    session = host.open("job", setup(space=space))
    pending = [PendingTrial(number=0, params={"x": 2})]

    assert sorted(s.params["x"] for s in session.ask(5, [], pending).result(60)) == [1, 3]


def test_closing_the_host_fails_what_is_under_way_and_what_waits(broken_algorithm):
    host = AlgorithmHost(children=1)
    session = host.open("job", broken_algorithm("while self.seen: pass"))
    history = search(session, 1)
    futures = [session.ask(1, history, []) for _ in range(3)]
    wait_for(futures[0].running)
    (pid,) = host.pids()

    host.close()
    host.close()

    assert not is_running(pid)
    for future in [*futures, session.ask(1, history, [])]:
        with pytest.raises(TryAgain):
            future.result(0)
    with pytest.raises(TryAgain):
        host.open("other", setup())


def test_sessions_spread_over_children_and_a_closed_one_makes_room():
    host = AlgorithmHost(children=2)
    first, second = host.open("a", setup()), host.open("b", setup())
    futures = [s.ask(1, [], []) for s in (first, second)]
    assert futures[0].result(60) == futures[1].result(60)
    assert len(host.pids()) == 2

    first.close()
    first.close()
    with pytest.raises(TryAgain):
        first.ask(1, [], []).result(0)
    third = host.open("c", setup())
    assert third._worker is first._worker
    assert third.ask(1, [], []).result(60)
    host.close()


def test_no_child_starts_before_it_is_needed():
    host = AlgorithmHost()
    session = host.open("job", setup())
    assert host.pids() == []
    session.close()
    host.close()
    assert host.pids() == []


@pytest.fixture
def broken_algorithm(tmp_path, monkeypatch):
    """Makes an algorithm whose `_suggest` begins with the given statements, known to children through sitecustomize."""

    def make(statements):
        (tmp_path / "sitecustomize.py").write_text(
            f"""
import os
import tuning_service.search
from tuning_service.domain.trial import Suggestion
from tuning_service.search.base import Options, algorithm
from tuning_service.search.random_search import RandomSearch

@algorithm("broken", summary="", options=Options)
class Broken(RandomSearch):
    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []

    def _observe(self, observations):
        self.seen += [o.number for o in observations]

    def _suggest(self, count, pending):
        {statements}
        return [Suggestion(params=s.params, source=f"seen {{self.seen}}") for s in super()._suggest(count, pending)]
"""
        )
        return setup("broken")

    # The directory of this package stands first in the child's path, this one next.
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return make
