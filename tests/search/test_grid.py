import itertools

import pytest

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import PendingTrial
from tuning_service.search.grid import Grid, GridOptions
from tuning_service.search.options import check_choice

OBJECTIVES = (Objective(metric="loss", goal=Goal.MINIMIZE),)


def grid(parameters, constraints=(), **options):
    return Grid(Space.from_dict(parameters, constraints), OBJECTIVES, GridOptions(**options), 0)


def points(parameters, constraints=(), **options):
    return [dict(s.params) for s in grid(parameters, constraints, **options).suggest(10_000, [])]


def refused(parameters, **options):
    with pytest.raises(InvalidRequest) as caught:
        check_choice(AlgorithmChoice(name="grid", options=options), Space.from_dict(parameters), OBJECTIVES)
    return caught.value.problems


X = {"type": "float", "min": 0.0, "max": 1.0}


def test_a_float_gets_points_evenly_on_its_scale_with_both_ends():
    lr = {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"}
    assert [p["x"] for p in points({"x": X})] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [p["lr"] for p in points({"lr": lr})] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert [p["x"] for p in points({"x": X}, points=1)] == [0.5]


def test_what_is_discrete_has_all_its_values_but_for_a_wide_log_scale():
    parameters = {
        "n": {"type": "int", "min": 1, "max": 12},
        "decay": X | {"step": 0.1},
        "width": {"type": "int", "min": 1, "max": 1000, "scale": "log"},
        "few": {"type": "int", "min": 1, "max": 4, "scale": "log"},
        "size": {"type": "ordinal", "values": ["s", "l"]},
    }
    values = {name: [p[name] for p in points({name: entry}, points=4)] for name, entry in parameters.items()}

    assert values["n"] == list(range(1, 13))
    assert values["decay"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert values["width"] == [1, 10, 100, 1000]
    assert values["few"] == [1, 2, 3, 4]
    assert values["size"] == ["s", "l"]


def test_single_parameters_have_points_or_values_of_their_own():
    parameters = {"x": X, "y": X, "kind": {"type": "categorical", "values": ["a", "b", "c"]}}
    found = points(parameters, values={"x": 3, "y": [1, 0.2], "kind": ["c", "a"]})

    assert [tuple(p.values()) for p in found] == list(itertools.product([0.0, 0.5, 1.0], [1.0, 0.2], ["c", "a"]))
    assert all(type(p["y"]) is float for p in found)


def test_values_are_met_to_rounding_and_made_exact():
    parameters = {"x": X | {"step": 0.1}, "kind": {"type": "categorical", "values": [1, 2]}}
    found = points(parameters, values={"x": [0.1 + 0.2, 0.3, 0.7], "kind": [2.0]})
    assert repr(found) == repr([{"x": 0.3, "kind": 2}, {"x": 0.7, "kind": 2}])


def test_conditions_are_collapsed_and_constraints_kept():
    parameters = {
        "kind": {"type": "categorical", "values": ["a", "b"]},
        "n": {"type": "int", "min": 1, "max": 3, "when": {"kind": ["a"]}},
        "m": {"type": "int", "min": 1, "max": 3},
    }
    found = points(parameters, ["n + m <= 4"])

    assert len(found) == 3 + 6
    assert len({tuple(sorted(p.items())) for p in found}) == 9
    assert all(p.get("n", 0) + p["m"] <= 4 for p in found)


def test_running_trials_are_passed_over_and_come_again_when_they_vanish():
    algorithm = grid({"n": {"type": "int", "min": 1, "max": 4}})
    running = [PendingTrial(number=i, params=s.params) for i, s in enumerate(algorithm.suggest(2, []))]
    assert [s.params["n"] for s in algorithm.suggest(5, running)] == [3, 4]
    algorithm.observe([Observation.of(number=1, params={"n": 2}, loss=1.0)])
    assert [s.params["n"] for s in algorithm.suggest(5, running[1:])] == [1, 3, 4]


def test_a_grid_is_read_no_further_than_needed():
    parameters = {f"n{i}": {"type": "int", "min": 1, "max": 1000} for i in range(5)}
    algorithm = grid(parameters)
    assert [s.params["n4"] for s in algorithm.suggest(3, [])] == [1, 2, 3]


def test_a_grid_that_is_too_large_is_refused_with_the_widest_parameter():
    (problem,) = refused({"wide": {"type": "int", "min": 1, "max": 10**12}, "x": X})

    assert problem.field == "algorithm.options.values"
    assert "1,000,000,000,000 points or more" in problem.message
    assert "wide alone has 1,000,000,000,000 values" in problem.remedy


@pytest.mark.parametrize(("parents", "too_large"), [(14, False), (30, True), (240, True)])
def test_a_grid_with_any_number_of_conditions_is_counted_in_little_time(parents, too_large):
    # Each combination of thirty parents by itself would take minutes, and this test its time limit.
    entries = {f"p{i}": {"type": "bool"} for i in range(parents)}
    entries |= {f"q{i}": {"type": "bool", "when": {f"p{i}": [True]}} for i in range(parents)}
    choice, space = AlgorithmChoice(name="grid"), Space.from_dict(entries)
    if not too_large:
        assert check_choice(choice, space, OBJECTIVES).name == "grid"
        return
    with pytest.raises(InvalidRequest, match="points or more"):
        check_choice(choice, space, OBJECTIVES)


def test_parameters_that_never_meet_do_not_make_a_grid_large():
    branches = {f"n{i}": {"type": "int", "min": 1, "max": 1000, "when": {"kind": [i]}} for i in range(20)}
    kind = {"type": "categorical", "values": list(range(20))}
    check_choice(AlgorithmChoice(name="grid"), Space.from_dict({"kind": kind, **branches}), OBJECTIVES)
    together = {name: {k: v for k, v in entry.items() if k != "when"} for name, entry in branches.items()}
    assert refused(together)


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"xx": 3}, "xx", "no such parameter"),
        ({"kind": 2}, "kind", "List the values"),
        ({"x": 0}, "x", "0 points"),
        ({"x": []}, "x", "empty"),
        ({"x": [0.5, 2]}, "x", "never is 2"),
        ({"kind": ["a", True]}, "kind", "never is True"),
    ],
)
def test_values_that_do_not_suit_the_space_are_refused(values, field, says):
    (problem,) = refused({"x": X, "kind": {"type": "categorical", "values": ["a", 1]}}, values=values)
    assert problem.field == f"algorithm.options.values.{field}"
    assert says in str(problem)
