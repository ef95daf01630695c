"""What the models are fed."""

import numpy as np

from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import algorithms
from tuning_service.search.bayesian import MOST_FITTED
from tuning_service.search.transform import SpaceTransform

SPACE = Space.from_dict(
    {
        "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
        "momentum": {"type": "float", "min": 0.0, "max": 1.0, "when": {"optimizer": ["sgd"]}},
    }
)


def build(name, space=SPACE, **options):
    cls = algorithms()[name]
    return cls(space, (Objective(metric="loss", goal=Goal.MINIMIZE),), cls.options_type(**options), 3)


def test_tpe_learns_nothing_about_a_parameter_from_trials_in_which_it_was_inactive():
    # sgd is good near momentum 0.9 only; adam is mediocre. Were adam's trials counted for momentum at some made-up
    # place, the density there would be wrong, whatever that place is.
    rng = np.random.default_rng(0)
    sampled = [SpaceTransform(SPACE).sample(rng) for _ in range(60)]
    history = [
        Observation.of(number=i, params=p, loss=abs(p["momentum"] - 0.9) if "momentum" in p else 0.5)
        for i, p in enumerate(sampled)
    ]
    algorithm = build("tpe")
    algorithm.observe(history)
    inactive = [d for d, o in zip(algorithm._ended, history, strict=True) if "momentum" not in o.params]

    assert inactive
    assert all(d["misc"]["vals"]["momentum"] == [] for d in inactive)
    found = [s.params["momentum"] for s in algorithm.suggest(10, []) if "momentum" in s.params]
    assert len(found) >= 5
    assert np.median(np.abs(np.array(found) - 0.9)) < 0.15


def test_a_long_history_keeps_its_best_and_its_latest_trials_and_is_answered():
    space = Space.from_dict({"x": {"type": "float", "min": 0.0, "max": 1.0}})
    algorithm = build("bayesian", space)
    rng = np.random.default_rng(0)
    xs = rng.random(2 * MOST_FITTED).tolist()
    xs[17] = 0.7  # the best of all, long ago
    algorithm.observe([Observation.of(number=i, params={"x": x}, loss=(x - 0.7) ** 2) for i, x in enumerate(xs)])
    points, losses = algorithm._fitted_on()

    assert len(points) == len(losses) == MOST_FITTED
    assert points[int(np.argmin(losses))] == [0.7]
    assert [p[0] for p in points[-MOST_FITTED // 2 :]] == xs[-MOST_FITTED // 2 :]
    assert len(algorithm.suggest(1, [])) == 1
