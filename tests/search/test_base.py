import time
from itertools import islice

import pytest

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial
from tuning_service.search.random_search import RandomSearch

OBJECTIVES = (Objective(metric="loss", goal=Goal.MINIMIZE),)
LARGE = Space.from_dict({f"n{i}": {"type": "int", "min": 1, "max": 10} for i in range(7)})
SMALL = Space.from_dict({"n": {"type": "int", "min": 1, "max": 200}})


class Stubborn(HPTAlgorithm):
    """Proposes the first configuration of the space, always."""

    name = "stubborn"
    asked = 0

    def _observe(self, observations):
        pass

    def _suggest(self, count, pending):
        self.asked += 1
        return [Suggestion(params={p.name: p.min for p in self.space})] * count


class Wanders(Stubborn):
    """Proposes something else only when it is asked again."""

    def _suggest(self, count, pending):
        first = self.next_number(pending)
        return [Suggestion(params={"n": 1 + int(self.rng(first).integers(2))})]


class GivesOne(Stubborn):
    """Considers itself done after one proposal."""

    def _suggest(self, count, pending):
        return super()._suggest(1, pending)


class Strays(Stubborn):
    def _suggest(self, count, pending):
        return [Suggestion(params={"n": 0})] * count


def build(cls, space):
    return cls(space, OBJECTIVES, Options(), 1)


def test_an_algorithm_that_repeats_itself_is_asked_again_and_then_draws_take_its_place():
    algorithm = build(Stubborn, LARGE)
    suggestions = algorithm.suggest(4, [])

    assert len({tuple(s.params.values()) for s in suggestions}) == 4
    assert [s.source for s in suggestions] == ["", *["random draw: stubborn proposed nothing new"] * 3]
    assert 1 < algorithm.asked < 5


def test_being_asked_again_means_other_randomness():
    tried = [PendingTrial(number=0, params={"n": 1})]
    sources = [RandomSearch(SMALL, OBJECTIVES, Options(), seed).suggest(1, tried)[0].source for seed in range(40)]
    assert set(sources) == {""}
    wanderer = build(Wanders, SMALL)
    assert wanderer.suggest(1, tried)[0].params["n"] != 1


def test_the_last_untried_configurations_are_found_in_a_finite_space():
    algorithm = build(Stubborn, SMALL)
    algorithm.observe([Observation.of(number=n, params={"n": n}, loss=None) for n in range(1, 200)])
    (suggestion,) = algorithm.suggest(3, [])

    assert suggestion.params == {"n": 200}
    assert suggestion.source in {
        "random draw: stubborn proposed nothing new",
        "last untried: stubborn proposed nothing new",
    }


def test_an_algorithm_that_is_done_is_not_helped_out():
    algorithm = build(GivesOne, LARGE)
    assert len(algorithm.suggest(5, [])) == 1


def test_a_proposal_outside_the_space_is_an_error():
    constrained = Space.from_dict(SMALL.to_dict(), ["n > 5"])
    for space in (SMALL, constrained):  # also where it breaks a constraint beside
        with pytest.raises(InvalidRequest, match=r"params\.n"):
            build(Strays, space).suggest(1, [])


def test_a_large_finite_space_with_a_long_history_is_answered_quickly():
    algorithm = build(Stubborn, LARGE)
    configurations = islice(algorithm.transform.enumerate(), 5000)
    algorithm.observe([Observation.of(number=i, params=p, loss=0.0) for i, p in enumerate(configurations)])
    start = time.process_time()
    assert len(algorithm.suggest(3, [])) == 3
    assert time.process_time() - start < 2


def test_a_random_draw_depends_on_seed_and_trial_number_alone():
    space = Space.from_dict({"x": {"type": "float", "min": 0, "max": 1}})
    batch = build(RandomSearch, space).suggest(3, [])
    other = build(RandomSearch, space)
    other.observe([Observation.of(number=0, params={"x": 0.123}, loss=1.0)])

    assert other.suggest(1, [PendingTrial(number=1, params={"x": 0.9})]) == batch[2:]


def test_the_last_configurations_are_found_where_constraints_leave_a_line():
    # 31 of 29,791 combinations, none of which is next to another.
    line = Space.from_dict(
        {name: {"type": "int", "min": 0, "max": 30} for name in "abc"}, ["a + b == 30", "c == a % 7"]
    )
    algorithm = build(RandomSearch, line)
    seen = set()
    for number in range(31):
        (suggestion,) = algorithm.suggest(1, [])
        line.check(suggestion.params)
        seen.add(tuple(suggestion.params.values()))
        algorithm.observe([Observation.of(number=number, params=suggestion.params, loss=0.0)])

    assert len(seen) == 31
    assert algorithm.suggest(1, []) == []
