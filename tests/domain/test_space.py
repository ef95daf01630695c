"""Parameters and spaces: what they accept, how they are read back, what completes a point."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.spaces import parameters, params_in, spaces
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.parameters import parameter_from_dict, parameter_to_dict
from tuning_service.domain.space import Space


def problem_of(entry, name="p"):
    with pytest.raises(InvalidRequest) as error:
        parameter_from_dict(name, entry)
    (problem,) = error.value.problems
    assert problem.remedy
    return problem.field, problem.message


def floats(low, high, **more):
    return parameter_from_dict("x", {"type": "float", "min": low, "max": high, **more})


@given(parameters())
@settings(deadline=None)
def test_a_parameter_is_read_back_equal(entry):
    made = parameter_from_dict("p", entry)
    assert parameter_from_dict("p", parameter_to_dict(made)) == made


@given(spaces())
@settings(deadline=None)
def test_a_space_is_given_back_word_for_word(space):
    assert list(Space.from_dict(space.to_dict()).to_dict().items()) == list(space.to_dict().items())
    assert Space.from_dict(space.to_dict()) == space


@given(st.data())
@settings(deadline=None)
def test_what_completes_a_point_is_always_valid(data):
    space = data.draw(spaces())
    whole = data.draw(params_in(space))
    part = {name: value for name, value in whole.items() if data.draw(st.booleans())}
    completed = space.completed(part)
    try:
        space.check(completed)
    except InvalidRequest as error:
        # A parent that was left out may have another value than the one that the rest was made for.
        assert all(problem.message == "is not active here." for problem in error.problems)  # noqa: PT017
    space.check(space.completed({}))
    assert space.completed(whole) == whole
    assert list(space.completed(whole)) == list(whole)


@given(parameters())
@settings(deadline=None)
def test_each_value_that_is_listed_and_the_middle_are_values(entry):
    made = parameter_from_dict("p", entry)
    assert made.contains(made.middle)
    for value in made.choices or ():
        assert made.contains(value)
        assert made.canonical(value) == value
    if made.choices:
        assert len(made.choices) == made.size


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (0.0, 0.5, 0.1, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (0.1, 0.35, 0.1, [0.1, 0.2, 0.3]),
        (-0.3, 0.3, 0.3, [-0.3, 0.0, 0.3]),
        (1e-300, 0.3, 0.1, [1e-300, 0.1, 0.2, 0.3]),
        (1e300, 3e300, 1e300, [1e300, 2e300, 3e300]),
        (-1.5e308, 1.5e308, 1.5e308, [-1.5e308, 0.0, 1.5e308]),
        (-1.7e308, 1.7e308, 1e308, [-1.7e308, -7e307, 3e307, 1.3e308]),
        (2, 3, 0.5, [2.0, 2.5, 3.0]),
        (0.7, 0.7, 0.1, [0.7]),
    ],
)
def test_steps_of_decimals(low, high, step, values):
    made = floats(low, high, step=step)
    assert list(made.choices) == values
    assert all(type(value) is float for value in made.choices)
    assert all(map(made.contains, values))
    assert not made.contains(low - step)
    assert not made.contains(low + step / 2)


def test_a_step_is_met_to_rounding_and_made_exact():
    made = floats(0, 1, step=0.1)
    assert made.contains(0.1 + 0.2)
    assert made.canonical(0.1 + 0.2) == 0.3
    assert not made.contains(0.30001)
    assert floats(0, 1, step=1e-12).contains(0.123456789012)
    assert not floats(0, 1, step=1e-10).contains(0.12345678905)


@pytest.mark.parametrize(
    "entry",
    [
        {"min": 1.0, "max": 1.0e3},
        {"min": 1, "max": 1.0e3, "scale": "log"},
        {"min": 2.0, "max": 16.0, "scale": "pow2", "default": 4.0},
        {"min": 0, "max": 9, "step": 3.0},
    ],
)
def test_whole_numbers_stay_whole_however_they_are_written(entry):
    space = Space.from_dict({"n": {"type": "int"} | entry})
    (parameter,) = space
    assert {type(value) for value in parameter.choices} == {int}
    assert type(space.completed({})["n"]) is int
    assert space.to_dict()["n"] == {"type": "int"} | entry


def test_a_whole_number_may_come_as_a_float():
    entry = {"type": "int", "min": 1, "max": 64, "scale": "pow2"}
    space = Space.from_dict({"n": entry, "b": {"type": "bool", "when": {"n": [4.0]}}})
    assert repr(space.completed({"n": 4.0})) == "{'n': 4, 'b': False}"  # tables of numbers make floats of all
    for value in (4.5, 5.0, 128.0, math.nan, math.inf, True, "4"):
        assert not space.parameters[0].contains(value)


def test_defaults_and_conditions_are_met_to_rounding_too():
    step = {"type": "float", "min": 0, "max": 1, "step": 0.1}
    space = Space.from_dict(
        {
            "x": step | {"default": 0.1 + 0.2},
            "n": {"type": "int", "min": 1, "max": 3, "when": {"x": [0.1 + 0.2, 0.7]}},
            "kind": {"type": "categorical", "values": [1, 2], "default": 2.0},
        }
    )
    assert repr(space.default_point) == "{'x': 0.3, 'kind': 2, 'n': 2}"
    assert space.completed({"x": 0.1 * 7, "kind": 1}) == {"x": 0.7, "kind": 1, "n": 2}
    assert space.to_dict()["x"]["default"] == 0.1 + 0.2  # as it was written


@pytest.mark.parametrize(
    ("entry", "field", "message"),
    [
        ({"type": "float", "min": 0, "max": 1, "step": 0}, "step", "above zero"),
        ({"type": "float", "min": 0, "max": 1, "step": -0.1}, "step", "above zero"),
        ({"type": "float", "min": 0, "max": 1, "step": float("nan")}, "step", "above zero"),
        ({"type": "float", "min": 0, "max": 1, "step": 1.1}, "step", "wider than the range"),
        ({"type": "float", "min": 0, "max": 1, "step": 1e-15}, "step", "too fine"),
        ({"type": "float", "min": 1e15, "max": 1e15 + 8, "step": 0.01}, "step", "too fine"),
        ({"type": "float", "min": 1, "max": 2, "step": 0.1, "scale": "log"}, "step", "has no step"),
        ({"type": "float", "min": -1e308, "max": 1e308, "step": 1.0}, "step", "too fine"),
        ({"type": "float", "min": 0, "max": float("inf")}, "", "finite"),
        ({"type": "float", "min": 0, "max": 1, "default": float("nan")}, "default", "no value"),
        ({"type": "float", "min": 0, "max": 1, "step": 0.25, "default": 0.3}, "default", "no value"),
        ({"type": "int", "min": 0, "max": 10, "step": 11}, "step", "wider"),
        ({"type": "int", "min": 1, "max": 8, "step": 2, "scale": "pow2"}, "step", "has no step"),
        ({"type": "int", "min": 0, "max": 10, "step": 3, "default": 4}, "default", "no value"),
        ({"type": "int", "min": 0, "max": 2**54}, "", "beyond"),
        ({"type": "int", "min": 0, "max": 8, "scale": "pow2"}, "min", "above zero"),
        ({"type": "categorical", "values": ["a"], "default": "b"}, "default", "no value"),
        ({"type": "categorical", "values": [1, 1.0]}, "values", "listed twice"),
        ({"type": "categorical", "values": [float("nan")]}, "values", "finite"),
        ({"type": "ordinal", "values": []}, "values", "no values"),
        ({"type": "ordinal", "values": [1, True], "default": 0}, "default", "no value"),
        ({"type": "bool", "default": 1}, "default", "no value"),
    ],
)
def test_what_a_parameter_cannot_be(entry, field, message):
    found, said = problem_of(entry)
    assert found == ".".join(["space.p", *filter(None, [field])])
    assert message in said


def test_true_and_one_are_two_values_to_a_user():
    mixed = parameter_from_dict("o", {"type": "ordinal", "values": [1, True, "1", 0.5]})
    assert [mixed.index_of(v) for v in (1, True, "1", 0.5, 1.0)] == [0, 1, 2, 3, 0]
    flag = parameter_from_dict("b", {"type": "bool"})
    assert flag.contains(True)
    assert not flag.contains(1)


def test_a_list_of_thousands_and_a_condition_that_names_them_all_are_read_in_little_time():
    # Value by value against each other they would take minutes, and this test its time limit.
    values = [f"v{i}" for i in range(30_000)]
    space = Space.from_dict(
        {"k": {"type": "categorical", "values": values}, "b": {"type": "bool", "when": {"k": values}}}
    )
    assert space.completed({"k": "v29999"}) == {"k": "v29999", "b": False}


def test_bools_and_fixed_values_are_parents_like_any_other():
    space = Space.from_dict(
        {
            "values": {"type": "bool"},
            "arch": {"type": "fixed", "value": "cnn"},
            "x": {"type": "float", "min": 0, "max": 1, "when": {"values": [True], "arch": ["cnn"]}},
        }
    )
    assert space.completed({"values": True}) == {"values": True, "arch": "cnn", "x": 0.5}
    assert space.completed({}) == {"values": False, "arch": "cnn"}
    with pytest.raises(InvalidRequest, match="values never is 1"):
        Space.from_dict(
            {"values": {"type": "bool"}, "x": {"type": "float", "min": 0, "max": 1, "when": {"values": [1]}}}
        )


def test_the_point_of_the_defaults_is_there_when_one_parameter_has_one():
    x = {"type": "float", "min": 1e-4, "max": 1, "scale": "log"}
    n = {"type": "int", "min": 0, "max": 10}
    assert Space.from_dict({"x": x, "n": n}).default_point is None
    assert Space.from_dict({"x": x, "n": n | {"default": 0}}).default_point == {"x": 0.01, "n": 0}
    assert Space.from_dict({"b": {"type": "bool", "default": False}}).default_point == {"b": False}


def test_a_point_that_breaks_a_constraint_is_told_with_its_values():
    space = Space.from_dict(
        {"a": {"type": "int", "min": 0, "max": 9}, "b": {"type": "int", "min": 0, "max": 9}}, ["a + b < 9"]
    )
    with pytest.raises(InvalidRequest, match=r"points\.3: the constraint 'a \+ b < 9' does not hold for a = 4, b = 5"):
        space.check({"a": 4, "b": 5}, "points.3")
