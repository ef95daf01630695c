import json
import subprocess
import sys

import pytest

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, Goal, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.search.base import algorithms
from tuning_service.search.options import check_choice, describe

OBJECTIVES = (Objective(metric="loss", goal=Goal.MINIMIZE),)
SPACE = Space.from_dict({"x": {"type": "float", "min": 0, "max": 1}})


def problem_of(name, options, space=SPACE):
    with pytest.raises(InvalidRequest) as caught:
        check_choice(AlgorithmChoice(name=name, options=options), space, OBJECTIVES)
    (problem,) = caught.value.problems
    return problem


def test_defaults_are_filled_in():
    choice = check_choice(AlgorithmChoice(name="tpe", options={"candidates": 50}), SPACE, OBJECTIVES)

    assert choice.options == {"candidates": 50, "startup_trials": 10, "gamma": 0.25, "prior_weight": 1.0}
    assert check_choice(choice, SPACE, OBJECTIVES) == choice
    json.dumps(choice.options)


def test_an_unknown_algorithm_is_refused_with_the_nearest_and_the_list():
    problem = problem_of("baysian", {})

    assert problem.field == "algorithm.name"
    assert "Did you mean 'bayesian'?" in problem.remedy
    assert "bayesian, cmaes, evolution, grid, random, sobol, tpe" in problem.remedy


def test_an_unknown_option_is_refused_with_the_nearest():
    problem = problem_of("tpe", {"startup_trails": 5})

    assert problem.field == "algorithm.options.startup_trails"
    assert "Did you mean 'startup_trials'?" in problem.remedy
    assert problem_of("random", {"depth": 5}).remedy == "It has none: remove it."


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("tpe", {"gamma": 0}, "gamma"),
        ("tpe", {"gamma": float("nan")}, "gamma"),
        ("tpe", {"candidates": "many"}, "candidates"),
        ("bayesian", {"acquisition": "UCB"}, "acquisition"),
        ("bayesian", {"initial_points": 1}, "initial_points"),
        ("bayesian", {"noise": "loud"}, "noise"),
        ("bayesian", {"kappa": float("inf")}, "kappa"),
        ("bayesian", {"noise": -1}, "noise"),
        ("cmaes", {"population": 3}, "population"),
        ("cmaes", {"sigma": 2}, "sigma"),
        ("cmaes", {"restarts": "always"}, "restarts"),
        ("evolution", {"population": 1}, "population"),
        ("evolution", {"mutations": 0.5}, "mutations"),
        ("grid", {"points": 0}, "points"),
        ("tpe", {"startup_trials": True}, "startup_trials"),
        ("bayesian", {"noise": False}, "noise"),
    ],
)
def test_a_bad_option_is_refused_by_its_name(name, options, field):
    problem = problem_of(name, options)
    assert problem.field == f"algorithm.options.{field}"
    assert str(options[field]) in problem.message


def test_numbers_that_cannot_be_stored_are_refused():
    wide = Space.from_dict({"x": {"type": "float", "min": 0, "max": 1e300}})
    problem = problem_of("grid", {"values": {"x": [1.0, 10**30]}}, wide)
    assert (problem.field, problem.message) == ("algorithm.options.values", f"{10**30} cannot be stored.")


def test_more_categories_than_a_gaussian_process_bears_are_refused_for_bayesian_only():
    space = Space.from_dict({"c": {"type": "categorical", "values": list(range(101))}})

    assert problem_of("bayesian", {}, space).field == "space.c.values"
    check_choice(AlgorithmChoice(name="tpe"), space, OBJECTIVES)


def refusal(name, space, **choice):
    with pytest.raises(InvalidRequest) as caught:
        check_choice(AlgorithmChoice(name=name), space, choice.pop("objectives", OBJECTIVES), **choice)
    return caught.value.problems


def test_cmaes_refuses_conditions_and_categories_naming_those_that_take_them():
    space = Space.from_dict(
        {
            "kind": {"type": "categorical", "values": ["a", "b", "c"]},
            "x": {"type": "float", "min": 0, "max": 1, "when": {"kind": ["a"]}},
        }
    )
    problems = refusal("cmaes", space)

    assert {p.field for p in problems} == {"space.kind", "space.x.when"}
    assert all("Those that can: auto, bayesian, evolution, grid, random, sobol, tpe." in p.remedy for p in problems)
    binary = {"kind": {"type": "categorical", "values": ["a", "b"]}, "flag": {"type": "bool"}}
    check_choice(AlgorithmChoice(name="cmaes"), Space.from_dict(binary), OBJECTIVES)


def test_what_an_algorithm_cannot_do_is_refused_naming_those_that_can():
    two = (*OBJECTIVES, Objective(metric="latency", goal=Goal.MINIMIZE))
    limit = [MetricConstraint(metric="latency", upper=True, limit=3.0)]

    (problem,) = refusal("cmaes", SPACE, objectives=two)
    assert "2 objectives" in problem.message
    assert {"evolution", "tpe"} <= set(problem.remedy.rstrip(".").split(": ")[1].split(", "))
    assert "bayesian" not in problem.remedy
    (problem,) = refusal("bayesian", SPACE, constraints=limit)
    assert "metric_constraints" in problem.message
    for name in ("tpe", "evolution", "sobol", "grid", "random"):
        check_choice(AlgorithmChoice(name=name), SPACE, two, limit)


def test_who_is_named_can_do_all_of_it():
    flag = {"type": "bool"}
    many = {f"x{i}": {"type": "float", "min": 0, "max": 1, "when": {"flag": [True]}} for i in range(20)}
    space = Space.from_dict({"flag": flag, **many})
    limit = [MetricConstraint(metric="latency", upper=True, limit=3.0)]
    # cmaes takes no conditions, grid not so many parameters.
    named = "Those that can: auto, evolution, random, sobol, tpe."

    assert [p.remedy for p in refusal("bayesian", space, constraints=limit)] == [named]
    assert {p.remedy.partition(". ")[2] for p in refusal("cmaes", space, constraints=limit)} == {named}


def test_each_algorithm_describes_itself_and_each_of_its_options():
    described = {d["name"]: d for d in describe()}

    assert list(described) == sorted(algorithms())
    json.dumps(described)
    for algorithm in described.values():
        assert algorithm["summary"]
        for option in algorithm["options"]["properties"].values():
            assert option["description"]
            assert "default" in option


def test_looking_up_algorithms_loads_none_of_their_libraries():
    script = (
        "import sys, tuning_service.search.options as o; o.describe();"
        "print([m for m in ('numpy', 'scipy', 'sklearn', 'skopt', 'hyperopt', 'cmaes') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
