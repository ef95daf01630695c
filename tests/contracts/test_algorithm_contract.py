"""What every search algorithm must do, on every registered one."""

import math

import numpy as np
import pytest

import tuning_service.search  # noqa: F401  # registers them
from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import PendingTrial, algorithms
from tuning_service.search.transform import SpaceTransform

OBJECTIVES = (Objective(metric="loss", goal=Goal.MINIMIZE),)
# Few random draws first, so that the model is what is tested.
QUICK = {"random": {}, "tpe": {"startup_trials": 4}, "bayesian": {"initial_points": 4}}

SPACE = Space.from_dict(
    {
        "lr": {"type": "float", "min": 1.0e-4, "max": 0.3, "scale": "log"},
        "dropout": {"type": "float", "min": 0.0, "max": 0.6},
        "batch_size": {"type": "int", "min": 16, "max": 256, "scale": "pow2"},
        "width": {"type": "int", "min": 8, "max": 512, "scale": "log"},
        "layers": {"type": "int", "min": 1, "max": 4},
        "fixed": {"type": "int", "min": 3, "max": 3},
        "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
        "nesterov": {"type": "categorical", "values": [True, False], "when": {"optimizer": ["sgd"]}},
        "dampening": {"type": "float", "min": 0.0, "max": 0.9, "when": {"nesterov": [False]}},
        "optimizer": {"type": "categorical", "values": ["sgd", "adam", 1, True]},
    }
)
# A small finite space: 3 * 2 + 3 * 4 = 18 configurations.
SMALL = Space.from_dict(
    {
        "kind": {"type": "categorical", "values": ["a", "b"]},
        "n": {"type": "int", "min": 1, "max": 3},
        "flag": {"type": "categorical", "values": [True, 1], "when": {"kind": ["a"]}},
        "size": {"type": "int", "min": 2, "max": 16, "scale": "pow2", "when": {"kind": ["b"]}},
    }
)

pytestmark = pytest.mark.parametrize("name", sorted(algorithms()))


def build(name, space=SPACE, seed=5):
    cls = algorithms()[name]
    return cls(space, OBJECTIVES, cls.options_type(**QUICK.get(name, {})), seed)


def loss_of(params):
    return (math.log10(params.get("lr", 0.01)) + 2) ** 2 + params.get("dropout", 0.0) + params.get("n", 0)


def history_of(count, space=SPACE, loss=loss_of):
    transform = SpaceTransform(space)
    rng = np.random.default_rng(11)
    sampled = [transform.sample(rng) for _ in range(count)]
    return [Observation.of(number=i, params=p, loss=loss(p)) for i, p in enumerate(sampled)]


def pending_of(suggestions, first):
    return [PendingTrial(number=first + i, params=s.params) for i, s in enumerate(suggestions)]


def suggested(name, history, pending=(), count=2, **arguments):
    algorithm = build(name, **arguments)
    algorithm.observe(history)
    return algorithm.suggest(count, list(pending))


def search(name, space, steps, loss=loss_of, seed=5):
    algorithm = build(name, space, seed)
    history = []
    for number in range(steps):
        (suggestion,) = algorithm.suggest(1, [])
        history.append(Observation.of(number=number, params=suggestion.params, loss=loss(suggestion.params)))
        algorithm.observe(history[-1:])
    return history


def keys_of(items, space=SPACE):
    return [SpaceTransform(space).key(item.params) for item in items]


@pytest.mark.parametrize("known", [0, 2, 12, 30])
def test_suggestions_are_valid_plain_and_hold_active_parameters_only(name, known):
    suggestions = suggested(name, history_of(known), count=4)

    assert len(suggestions) == 4
    for suggestion in suggestions:
        SPACE.check(suggestion.params)
        assert list(suggestion.params) == list(SPACE.active_part(suggestion.params))
        for value in suggestion.params.values():
            assert type(value) in {bool, int, float, str}
            assert value == value  # noqa: PLR0124  # not NaN


def test_both_branches_of_a_condition_are_searched(name):
    optimizers = {(type(o), o) for o in (s.params["optimizer"] for s in search(name, SPACE, 25))}
    assert len(optimizers) >= 2


@pytest.mark.parametrize("known", [0, 12])
def test_the_same_question_gets_the_same_answer(name, known):
    history = history_of(known)
    pending = pending_of(suggested(name, history), known)

    assert suggested(name, history, pending) == suggested(name, history, pending)


def test_another_seed_gets_another_answer(name):
    history = history_of(12)
    assert suggested(name, history, seed=1) != suggested(name, history, seed=2)


def test_it_does_not_matter_how_the_history_was_dealt_out_or_what_was_asked_between(name):
    history = history_of(12)
    pending = pending_of(suggested(name, history[:5]), 12)
    whole = suggested(name, history, pending, count=3)

    one_by_one = build(name)
    for observation in history:
        one_by_one.observe([observation])
        if observation.number % 5 == 0:
            one_by_one.suggest(1, [])
    in_chunks = build(name)
    in_chunks.observe([])
    in_chunks.observe(history[:7])
    in_chunks.suggest(2, pending)
    in_chunks.observe(history[7:])

    assert one_by_one.suggest(3, pending) == whole
    assert in_chunks.suggest(3, pending) == whole


def test_a_batch_and_the_pending_trials_differ_from_one_another(name):
    history = history_of(12)
    first = suggested(name, history, count=4)
    second = suggested(name, history, pending_of(first, 12), count=4)

    assert len(set(keys_of([*first, *second]))) == 8


def test_one_at_a_time_with_the_others_pending_spreads_out_in_a_finite_space(name):
    algorithm = build(name, SMALL)
    algorithm.observe(history_of(6, SMALL))
    pending = []
    for number in range(6, 12):
        pending += pending_of(algorithm.suggest(1, pending), number)

    assert len(set(keys_of(pending, SMALL))) == 6


def test_a_small_space_is_tried_completely_without_repeats_and_then_exhausted(name):
    history = search(name, SMALL, 18)

    assert len(set(keys_of(history, SMALL))) == 18
    assert suggested(name, history, space=SMALL) == []


def test_fewer_are_suggested_when_fewer_are_left_pending_ones_counted(name):
    everything = list(SpaceTransform(SMALL).enumerate())
    history = [Observation.of(number=i, params=p, loss=loss_of(p)) for i, p in enumerate(everything[:10])]
    pending = [PendingTrial(number=10 + i, params=p) for i, p in enumerate(everything[10:15])]
    suggestions = suggested(name, history, pending, count=8, space=SMALL)

    left = [SpaceTransform(SMALL).key(p) for p in everything[15:]]
    assert sorted(map(repr, keys_of(suggestions, SMALL))) == sorted(map(repr, left))


def test_a_space_of_one_configuration_is_suggested_once(name):
    space = Space.from_dict({"x": {"type": "float", "min": 0.5, "max": 0.5}})
    history = search(name, space, 1)

    assert history[0].params == {"x": 0.5}
    assert suggested(name, history, space=space) == []


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(lambda _: None, id="all-failed"),
        pytest.param(lambda _: 1.5, id="all-equal"),
        pytest.param(lambda p: None if p["dropout"] > 0.2 else p["lr"], id="many-failed"),
        pytest.param(lambda p: 1e300 if p["dropout"] > 0.3 else -1e300 * p["lr"], id="huge"),
        pytest.param(lambda p: float("nan") if p["dropout"] > 0.3 else float("inf"), id="not-finite"),
        pytest.param(lambda p: 1e-300 * p["lr"], id="tiny"),
    ],
)
def test_odd_histories_are_survived(name, loss):
    history = history_of(14, loss=loss)
    suggestions = suggested(name, history, pending_of(suggested(name, history), 14), count=3)

    assert len(suggestions) == 3
    for suggestion in suggestions:
        SPACE.check(suggestion.params)


def test_observations_may_come_in_any_order_of_their_numbers(name):
    history = [*history_of(12)[6:], *history_of(12)[:6]]
    assert len(set(keys_of([*history, *suggested(name, history)]))) == 14


def test_zero_suggestions_are_no_question(name):
    with pytest.raises(ValueError, match="at least 1"):
        build(name).suggest(0, [])


def test_a_huge_seed_is_accepted(name):
    assert suggested(name, history_of(6), seed=2**63 - 1)
