"""What every search algorithm must do: the conformance suite on every registered one, and what built-ins do beyond."""

import math

import pytest

import tuning_service.search  # noqa: F401  # registers them
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.search import conformance_spaces as spaces
from tuning_service.search.base import algorithms
from tuning_service.search.conformance import check_algorithm, check_names
from tuning_service.search.transform import SpaceTransform

# Few random draws first, so that the model is what is tested.
QUICK = {
    "tpe": {"startup_trials": 4},
    "bayesian": {"initial_points": 4},
    "cmaes": {"population": 4},
    "evolution": {"population": 4, "tournament": 2},
}

pytestmark = pytest.mark.parametrize("name", sorted(algorithms()))


def build(name, space, objectives=None, seed=5, constraints=()):
    cls = algorithms()[name]
    wanted = objectives or (Objective(metric="loss", goal=Goal.MINIMIZE),)
    return cls(space, wanted, cls.options_type(**QUICK.get(name, {})), seed, constraints=constraints)


def refusal(name, space):
    try:
        algorithms()[name].check_space(space)
    except InvalidRequest as error:
        return str(error)
    return None


def accepted(name, candidates):
    return next(space for space in candidates if refusal(name, space) is None)


def search(name, space, steps):
    algorithm = build(name, space)
    history = []
    for number in range(steps):
        (suggestion,) = algorithm.suggest(1, [])
        history.append(spaces.observation(space, number, suggestion.params))
        algorithm.observe(history[-1:])
    return algorithm, history


@pytest.mark.parametrize("check", check_names())
def test_it_conforms(name, check):
    cls = algorithms()[name]
    (result,) = check_algorithm(
        lambda space, objectives, seed, constraints: build(name, space, objectives, seed, constraints),
        most_objectives=cls.most_objectives,
        takes_constraints=cls.takes_constraints,
        refuses=lambda space: refusal(name, space),
        only=[check],
    )
    assert result.ok, result.detail


def test_a_small_space_is_tried_completely_and_then_exhausted(name):
    space = accepted(name, spaces.SMALL)
    algorithm, history = search(name, space, 18)

    assert len({SpaceTransform(space).key(o.params) for o in history}) == 18
    assert algorithm.suggest(1, []) == []


def test_all_that_is_left_is_suggested_pending_ones_counted(name):
    space = accepted(name, spaces.SMALL)
    known = spaces.everything(space)
    algorithm = build(name, space)
    algorithm.observe(known[:15])
    suggestions = algorithm.suggest(8, [])

    transform = SpaceTransform(space)
    left = [transform.key(o.params) for o in known[15:]]
    assert sorted(repr(transform.key(s.params)) for s in suggestions) == sorted(map(repr, left))


def test_both_branches_of_a_condition_are_searched(name):
    space = Space.from_dict(
        {
            "kind": {"type": "categorical", "values": ["a", "b"]},
            "n": {"type": "int", "min": 1, "max": 4, "when": {"kind": ["a"]}},
        }
    )
    if refusal(name, space):
        pytest.skip("it takes no conditions")
    _, history = search(name, space, 5)
    assert {o.params["kind"] for o in history} == {"a", "b"}


def test_zero_suggestions_are_no_question(name):
    with pytest.raises(ValueError, match="at least 1"):
        build(name, accepted(name, spaces.ROOMY)).suggest(0, [])


def test_it_learns_from_an_earlier_job_whose_losses_lie_elsewhere(name):
    if name in {"random", "sobol", "grid"}:
        pytest.skip("it looks at no losses")
    space = Space.from_dict({"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}})

    def mean_distance(history):
        found = []
        for seed in range(4):
            algorithm = build(name, space, seed=seed)
            algorithm.observe(history)
            found += [math.dist(s.params.values(), (1 / 3, 1 / 3)) for s in algorithm.suggest(3, [])]
        return sum(found) / len(found)

    earlier = spaces.history(space, 40, job="earlier", offset=500.0)
    own = spaces.history(space, 1, seed=3)
    assert mean_distance([*earlier, *own]) < 0.7 * mean_distance(own)


def test_a_huge_seed_is_accepted(name):
    space = accepted(name, spaces.ROOMY)
    algorithm = build(name, space, seed=2**63 - 1)
    algorithm.observe(spaces.history(space, 6))
    assert len(algorithm.suggest(1, [])) == 1


# All kinds of parameters, most of whose combinations the constraints rule out.
CONSTRAINED = Space.from_dict(
    {
        "width": {"type": "int", "min": 8, "max": 512, "scale": "log"},
        "depth": {"type": "int", "min": 1, "max": 64},
        "dropout": {"type": "float", "min": 0.0, "max": 0.5, "step": 0.05},
        "x": {"type": "float", "min": 0.0, "max": 1.0},
        "y": {"type": "float", "min": 0.0, "max": 1.0},
        "size": {"type": "ordinal", "values": ["small", "medium", "large"]},
        "bias": {"type": "bool"},
        "scale": {"type": "float", "min": 1e-3, "max": 1, "scale": "log", "when": {"bias": [True]}},
        "arch": {"type": "fixed", "value": "cnn"},
    },
    ["width * depth <= 512", "x + y <= 0.5", "size != 'large' or dropout > 0.2", "bias or x > 0.1"],
)
# 3 * (1 + 2) * 3 = 27 configurations, of which 17 are allowed.
FEW = Space.from_dict(
    {
        "rate": {"type": "float", "min": 0.1, "max": 0.3, "step": 0.1},
        "bias": {"type": "bool"},
        "norm": {"type": "bool", "when": {"bias": [True]}},
        "size": {"type": "ordinal", "values": ["small", "medium", "large"]},
    },
    ["rate < 0.25 or not bias", "size == 'large' or rate > 0.25 or norm"],
)


@pytest.mark.parametrize("known", [0, 12])
def test_constraints_are_met_by_all_that_is_suggested(name, known):
    if refusal(name, CONSTRAINED):
        pytest.skip("it takes no conditions")
    algorithm = build(name, CONSTRAINED)
    algorithm.observe(spaces.history(CONSTRAINED, known))
    suggestions = algorithm.suggest(4, [])

    assert len(suggestions) == 4
    for suggestion in suggestions:
        CONSTRAINED.check(suggestion.params)


def test_what_constraints_leave_of_a_small_space_is_tried_completely(name):
    if refusal(name, FEW):
        pytest.skip("it takes no conditions")
    transform = SpaceTransform(FEW)
    allowed = [transform.key(params) for params in transform.enumerate()]
    algorithm, history = search(name, FEW, len(allowed))

    assert sorted(repr(transform.key(o.params)) for o in history) == sorted(map(repr, allowed))
    assert algorithm.suggest(1, []) == []
