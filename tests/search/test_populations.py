"""CMA-ES and evolution: what they do beyond the contract."""

import math

import numpy as np
import pytest

from tuning_service.domain.job import Goal, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import PendingTrial, algorithms
from tuning_service.search.transform import SpaceTransform

OBJECTIVES = (Objective(metric="loss", goal=Goal.MINIMIZE),)
X = {"type": "float", "min": -5.0, "max": 5.0}


def build(name, space, seed=1, objectives=OBJECTIVES, constraints=(), **options):
    cls = algorithms()[name]
    return cls(space, objectives, cls.options_type(**options), seed, constraints=constraints)


def search(algorithm, loss, steps, parallel=1):
    """Params and losses, in the order in which the trials ended."""
    running, ended = [], []
    for number in range(steps):
        (suggestion,) = algorithm.suggest(1, running)
        running.append(PendingTrial(number=number, params=suggestion.params))
        if len(running) == parallel:
            trial = running.pop(0)
            ended.append((trial.params, loss(trial.params)))
            algorithm.observe([Observation.of(number=trial.number, params=trial.params, loss=ended[-1][1])])
    return ended


def test_cmaes_follows_a_narrow_valley_that_is_no_parallel_of_an_axis():
    space = Space.from_dict(dict.fromkeys("abcd", X))

    def loss(params):
        a, b, c, d = params.values()
        return 1000 * ((a - b) ** 2 + (c + d) ** 2) + (a + b - 2) ** 2 + (c - d - 2) ** 2

    best = [min(v for _, v in search(build("cmaes", space, seed), loss, 600)) for seed in range(3)]
    assert np.median(best) < 1e-2


def test_cmaes_does_not_get_stuck_on_one_value_of_a_discrete_parameter():
    space = Space.from_dict(
        {
            "x": X,
            "n": {"type": "int", "min": 0, "max": 20},
            "size": {"type": "ordinal", "values": ["xs", "s", "m", "l", "xl"]},
            "flag": {"type": "bool"},
        }
    )

    def loss(params):
        sizes = ["xs", "s", "m", "l", "xl"]
        return abs(params["x"] - 1) + abs(params["n"] - 17) + 2 * abs(sizes.index(params["size"]) - 3) + params["flag"]

    for seed in range(3):
        params, value = min(search(build("cmaes", space, seed), loss, 300), key=lambda e: e[1])
        assert (params["n"], params["size"], params["flag"]) == (17, "l", False)
        assert value < 0.05


@pytest.mark.parametrize("restarts", ["bipop", "ipop"])
def test_cmaes_leaves_a_valley_that_it_has_searched_to_the_bottom(restarts):
    space = Space.from_dict({"x": X})

    def loss(params):  # a wide valley at 2, a deeper narrow one at -4
        return min((params["x"] - 2) ** 2 / 10, 30 * (params["x"] + 4) ** 2 - 1)

    algorithm = build("cmaes", space, restarts=restarts)
    search(algorithm, loss, 700)
    populations = [run.population for run in algorithm._runs]

    assert len(populations) >= 3
    assert max(populations) >= 2 * populations[0]
    assert all(run.told % run.population == 0 for run in algorithm._runs)


def test_cmaes_begins_at_the_default_point():
    space = Space.from_dict({name: X | {"default": 4.0} for name in "ab"})
    found = [list(s.params.values()) for s in build("cmaes", space, sigma=0.05).suggest(20, [])]
    assert np.abs(np.mean(found, axis=0) - 4.0).max() < 0.4


def test_cmaes_with_many_at_once_still_gets_there():
    space = Space.from_dict(dict.fromkeys("abc", X))
    ended = search(build("cmaes", space), lambda p: sum((v - 1) ** 2 for v in p.values()), 700, parallel=60)
    assert min(v for _, v in ended) < 0.01


def test_cmaes_bears_results_of_points_that_it_never_drew():
    space = Space.from_dict(dict.fromkeys("ab", X))
    algorithm = build("cmaes", space)
    search(algorithm, lambda p: sum(v**2 for v in p.values()), 120)
    corner = {"a": -5.0, "b": 5.0}
    algorithm.observe([Observation.of(number=200 + i, params=corner, loss=-1.0 - i) for i in range(4)])
    found = [math.hypot(*s.params.values()) for s in algorithm.suggest(20, [])]
    assert max(found) < 5  # pulled towards the corner, but not thrown out of what it knows


def test_members_of_evolution_die_of_age_with_one_objective():
    space = Space.from_dict({"x": X})
    algorithm = build("evolution", space, population=10, tournament=10)
    algorithm.observe([Observation.of(number=0, params={"x": -5.0}, loss=-100.0)])
    later = [Observation.of(number=1 + i, params={"x": 4.0 + i / 100}, loss=float(i)) for i in range(10)]
    algorithm.observe(later)
    found = [s.params["x"] for s in algorithm.suggest(20, [])]
    assert np.median(found) > 3


def test_evolution_keeps_the_front_with_several_objectives():
    space = Space.from_dict({"x": X})
    algorithm = build("evolution", space, population=4, tournament=4, objectives=OBJECTIVES * 2)
    good = [Observation(number=0, params={"x": -5.0}, losses=(0.0, 0.0))]
    rest = [Observation(number=1 + i, params={"x": 4.0}, losses=(1.0 + i, 1.0 + i)) for i in range(50)]
    algorithm.observe([*good, *rest])
    assert np.median([s.params["x"] for s in algorithm.suggest(20, [])]) < -3


def test_a_child_differs_in_something_that_counts():
    space = Space.from_dict(
        {
            "kind": {"type": "categorical", "values": ["a", "b"]},
            **{f"p{i}": {"type": "int", "min": 0, "max": 9, "when": {"kind": ["b"]}} for i in range(9)},
            "flag": {"type": "bool"},
        }
    )
    algorithm = build("evolution", space, population=2, tournament=1)
    parent = {"kind": "a", "flag": True}
    unit = algorithm.transform.to_unit(parent)
    children = [algorithm.transform.from_unit(algorithm._mutated(unit, np.random.default_rng(i))) for i in range(200)]

    assert parent not in children
    values = {c["p3"] for c in children if "p3" in c}
    assert len(values) >= 8  # what becomes active is drawn anew


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "int", "min": 0, "max": 1},
        {"type": "int", "min": 1, "max": 1000, "scale": "log"},
        {"type": "int", "min": 2, "max": 64, "scale": "pow2"},
        {"type": "ordinal", "values": [1, True, "a"]},
        {"type": "float", "min": 0.0, "max": 1.0, "step": 0.3},
    ],
)
def test_a_child_differs_from_its_parent_at_the_ends_of_a_scale_too(entry):
    algorithm = build("evolution", Space.from_dict({"p": entry}))
    axis = algorithm.transform.axes[0]
    for value in (axis.value_at(0), axis.value_at(axis.size - 1)):
        unit = algorithm.transform.to_unit({"p": value})
        rng = np.random.default_rng(0)
        children = [algorithm.transform.from_unit(algorithm._mutated(unit, rng))["p"] for _ in range(50)]
        assert axis.identity(value) not in map(axis.identity, children)


def test_infeasible_trials_have_children_only_while_none_is_feasible():
    space = Space.from_dict({"x": X})
    limit = [MetricConstraint(metric="m", upper=True, limit=0.0)]
    algorithm = build("evolution", space, population=6, tournament=6, constraints=limit)
    bad = [Observation(number=i, params={"x": 4.0}, losses=(0.0,), violations=(5.0 - i,)) for i in range(5)]
    algorithm.observe([*bad, Observation(number=5, params={"x": -4.0}, losses=(9.0,), violations=(-1.0,))])
    assert np.median([s.params["x"] for s in algorithm.suggest(20, [])]) < -3


@pytest.mark.parametrize("name", ["cmaes", "evolution"])
def test_after_a_long_search_a_fresh_one_suggests_the_same(name):
    space = Space.from_dict({"x": X, "n": {"type": "int", "min": 1, "max": 50}, "flag": {"type": "bool"}})
    algorithm = build(name, space)
    ended = search(algorithm, lambda p: (p["x"] - 1) ** 2 + abs(p["n"] - 9) + p["flag"], 230, parallel=7)
    history = [Observation.of(number=i, params=p, loss=v) for i, (p, v) in enumerate(ended)]
    fresh = build(name, space)
    fresh.observe(history)

    assert fresh.suggest(5, []) == algorithm.suggest(5, [])
    assert len({SpaceTransform(space).key(o.params) for o in history}) == len(history)
