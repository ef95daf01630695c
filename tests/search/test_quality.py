"""The models must be worth their time: better than random draws, on average over fixed seeds."""

import math

import numpy as np
import pytest

from tuning_service.domain.job import Goal, MetricConstraint, Objective
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


MODELS = [("tpe", range(8), 0.6), ("bayesian", range(3), 0.25)]
HARD_PRESSED = [("tpe", range(8), 0.75), ("bayesian", range(3), 0.4)]


@pytest.mark.parametrize(("name", "seeds", "share"), MODELS)
def test_a_model_finds_better_values_than_random_draws(name, seeds, share):
    assert mean_best(name, seeds) < share * mean_best("random", range(40))


@pytest.mark.parametrize(("name", "seeds", "share"), HARD_PRESSED)
def test_it_still_does_with_four_trials_at_once_and_a_third_of_the_space_failing(name, seeds, share):
    hard = {"parallel": 4, "fails": lambda params: params["x"] > 2}
    assert mean_best(name, seeds, **hard) < share * mean_best("random", range(40), **hard)


@pytest.mark.parametrize("name", ["cmaes", "evolution"])
def test_a_population_finds_far_better_values_when_it_has_time(name):
    patient = {"trials": 200, "parallel": 8}
    assert mean_best(name, range(8), **patient) < 0.2 * mean_best("random", range(20), **patient)
    failing = patient | {"fails": lambda params: params["x"] > 2}
    assert mean_best(name, range(8), **failing) < 0.3 * mean_best("random", range(20), **failing)


@pytest.mark.parametrize("name", ["tpe", "evolution"])
def test_two_objectives_get_a_front_that_covers_more_than_random_draws(name):
    def volume(name, seed):
        """Of the part of the unit square that the trials dominate."""
        cls = algorithms()[name]
        goals = [Objective(metric=m, goal=Goal.MINIMIZE) for m in ("a", "b")]
        algorithm = cls(SPACE, goals, cls.options_type(), seed)
        found = []
        for number in range(120):
            (suggestion,) = algorithm.suggest(1, [])
            params = suggestion.params
            rest = (math.log10(params["lr"]) + 3) ** 2 / 4 + ((params["n"] - 20) / 32) ** 2
            losses = (abs(params["x"] - 1) / 6 + rest, abs(params["x"] + 1) / 6 + rest)
            found.append(losses)
            algorithm.observe([Observation(number=number, params=params, losses=losses)])
        grid = np.stack(np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60)), axis=-1).reshape(-1, 2)
        return np.mean((np.array(found)[:, None] <= grid).all(axis=2).any(axis=0))

    assert np.mean([volume(name, s) for s in range(3)]) > 1.03 * np.mean([volume("random", s) for s in range(3)])


@pytest.mark.parametrize("name", ["tpe", "evolution", "cmaes"])
def test_a_limit_on_a_metric_is_kept_to(name):
    limit = MetricConstraint(metric="x", upper=True, limit=-1.0)  # forbids the best part

    def share(name, seed):
        cls = algorithms()[name]
        algorithm = cls(
            SPACE, (Objective(metric="loss", goal=Goal.MINIMIZE),), cls.options_type(), seed, constraints=[limit]
        )
        kept = []
        for number in range(100):
            (suggestion,) = algorithm.suggest(1, [])
            x = suggestion.params["x"]
            algorithm.observe(
                [
                    Observation(
                        number=number,
                        params=suggestion.params,
                        losses=(loss_of(suggestion.params),),
                        violations=(limit.violation(x),),
                    )
                ]
            )
            kept.append(x <= -1.0)
        return np.mean(kept[60:])

    assert np.mean([share(name, s) for s in range(5)]) > 0.5  # of random draws, 0.4
