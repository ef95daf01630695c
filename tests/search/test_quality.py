"""The models must be worth their time: better than random draws, on average over fixed seeds."""

import math

import numpy as np
import pytest

from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import PendingTrial, algorithms

SPACE = Space.from_dict(
    {
        "x": {"type": "float", "min": -5.0, "max": 5.0},
        "lr": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
        "n": {"type": "int", "min": 1, "max": 64},
    }
)


def loss_of(params):
    return (params["x"] - 1) ** 2 / 4 + (math.log10(params["lr"]) + 3) ** 2 + ((params["n"] - 20) / 16) ** 2


def best_of(name, *, seed, trials=30, parallel=1, fails=lambda _: False):
    cls = algorithms()[name]
    algorithm = cls(SPACE, (Objective(metric="loss", goal=Goal.MINIMIZE),), cls.options_type(), seed)
    running, losses = [], []
    for number in range(trials):
        (suggestion,) = algorithm.suggest(1, running)
        running.append(PendingTrial(number=number, params=suggestion.params))
        if len(running) == parallel:
            ended = running.pop(0)
            loss = None if fails(ended.params) else loss_of(ended.params)
            algorithm.observe([Observation.of(number=ended.number, params=ended.params, loss=loss)])
            losses += [] if loss is None else [loss]
    return min(losses)


def mean_best(name, seeds, **arguments):
    return np.mean([best_of(name, seed=seed, **arguments) for seed in seeds])


@pytest.mark.parametrize(("name", "seeds", "share"), [("tpe", range(8), 0.6), ("bayesian", range(3), 0.25)])
def test_a_model_finds_better_values_than_random_draws(name, seeds, share):
    assert mean_best(name, seeds) < share * mean_best("random", range(40))


@pytest.mark.parametrize(("name", "seeds", "share"), [("tpe", range(8), 0.75), ("bayesian", range(3), 0.4)])
def test_it_still_does_with_four_trials_at_once_and_a_third_of_the_space_failing(name, seeds, share):
    hard = {"parallel": 4, "fails": lambda params: params["x"] > 2}
    assert mean_best(name, seeds, **hard) < share * mean_best("random", range(40), **hard)
