import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.spaces import parameters, params_in, spaces
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.parameters import FloatParameter
from tuning_service.domain.space import Space
from tuning_service.search.transform import SpaceTransform

NESTED = Space.from_dict(
    {
        "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"], "tune": [True]}},
        "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
        "nesterov": {"type": "categorical", "values": [True, False, 1, "1"], "when": {"optimizer": ["sgd"]}},
        "tune": {"type": "categorical", "values": [True, False], "when": {"nesterov": [True, 1]}},
        "batch": {"type": "int", "min": 16, "max": 256, "scale": "pow2"},
    }
)


def transform(**parameters):
    return SpaceTransform(Space.from_dict(parameters))


@given(st.data())
@settings(deadline=None)
def test_a_configuration_survives_the_way_to_the_cube_and_back(data):
    space = data.draw(spaces())
    params = data.draw(params_in(space))
    there = SpaceTransform(space)

    vector = there.to_unit(params)
    back = there.from_unit(vector)

    space.check(back)
    assert list(back) == list(params)
    active = ~np.isnan(vector)
    assert [a.name for a, is_active in zip(there.axes, active, strict=True) if is_active] == list(params)
    assert ((vector[active] >= 0) & (vector[active] <= 1)).all()
    for name, value in params.items():
        assert type(back[name]) is type(value)
        if isinstance(value, float):
            width = next(p.max - p.min if isinstance(p, FloatParameter) else 0.0 for p in space if p.name == name)
            assert back[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * width)
        else:
            assert back[name] == value


@given(st.data())
@settings(deadline=None)
def test_every_vector_is_a_valid_configuration_of_plain_python_values(data):
    space = data.draw(spaces())
    anything = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
    vector = data.draw(st.lists(anything, min_size=len(space), max_size=len(space)))

    params = SpaceTransform(space).from_unit(np.array(vector))

    space.check(params)
    assert all(type(v) in {bool, int, float, str} for v in params.values())


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=30, deadline=None)
def test_nested_conditions_leave_out_what_is_inactive(seed):
    there = SpaceTransform(NESTED)
    params = there.sample(np.random.default_rng(seed))

    NESTED.check(params)
    assert list(there.from_unit(there.to_unit(params))) == list(params)


def test_ends_of_the_cube_are_the_bounds_exactly():
    there = transform(
        lr={"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"},
        x={"type": "float", "min": -0.1, "max": 0.7},
        n={"type": "int", "min": 3, "max": 1000, "scale": "log"},
        b={"type": "int", "min": 16, "max": 256, "scale": "pow2"},
        k={"type": "int", "min": -2, "max": 2},
    )
    assert there.from_unit(np.zeros(5)) == {"lr": 1e-4, "x": -0.1, "n": 3, "b": 16, "k": -2}
    assert there.from_unit(np.ones(5)) == {"lr": 0.3, "x": 0.7, "n": 1000, "b": 256, "k": 2}


def test_the_widest_ranges_do_not_overflow():
    there = transform(
        x={"type": "float", "min": -1.7e308, "max": 1.7e308}, n={"type": "int", "min": -(2**53), "max": 2**53}
    )
    assert there.from_unit(np.array([0.5, 1.0])) == {"x": 0.0, "n": 2**53}
    assert there.to_unit({"x": 0.0, "n": 0})[0] == 0.5


@pytest.mark.parametrize("low", [2**53 - 3, 2**53])
def test_a_log_range_whose_logarithms_are_one_has_all_its_values(low):
    there = transform(n={"type": "int", "min": low, "max": 2**53, "scale": "log"})
    values = list(range(low, 2**53 + 1))
    assert [there.from_unit(there.to_unit({"n": value}))["n"] for value in values] == values


@pytest.mark.parametrize(("low", "scale"), [(0.0, "linear"), (1e300, "log"), (1.0, "log"), (-1e300, "linear")])
def test_a_range_of_two_doubles_is_searched(low, scale):
    high = math.nextafter(low, math.inf)
    there = transform(x={"type": "float", "min": low, "max": high, "scale": scale})
    for value in (low, high):
        assert 0 <= there.to_unit({"x": value})[0] <= 1
    assert [there.from_unit(np.array([unit]))["x"] for unit in (0.0, 1.0)] == [low, high]


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "int", "min": 0, "max": 3},
        {"type": "int", "min": 2, "max": 16, "scale": "pow2"},
        {"type": "categorical", "values": ["a", "b", "c", "d"]},
    ],
)
def test_each_of_four_values_gets_a_quarter_of_the_draws(parameter):
    there = transform(p=parameter)
    rng = np.random.default_rng(0)
    drawn = [there.sample(rng)["p"] for _ in range(4000)]

    counts = [drawn.count(v) for v in set(drawn)]
    assert len(counts) == 4
    assert all(850 < c < 1150 for c in counts)


def test_a_log_scale_draws_each_decade_as_often():
    there = transform(lr={"type": "float", "min": 1e-4, "max": 1e-1, "scale": "log"})
    rng = np.random.default_rng(0)
    decades = [math.floor(math.log10(there.sample(rng)["lr"])) for _ in range(3000)]

    assert all(900 < decades.count(d) < 1100 for d in (-4, -3, -2))


def test_ends_of_a_log_int_are_drawn_as_often_as_their_share_says():
    there = transform(n={"type": "int", "min": 1, "max": 2, "scale": "log"})
    rng = np.random.default_rng(0)
    ones = sum(there.sample(rng)["n"] == 1 for _ in range(4000)) / 4000

    assert ones == pytest.approx(math.log(3) / math.log(5), abs=0.03)


def test_keys_tell_apart_what_a_user_tells_apart():
    there = transform(c={"type": "categorical", "values": [1, True, "1"]}, x={"type": "float", "min": 0, "max": 1})
    keys = [there.key({"c": c, "x": 0.5}) for c in (1, True, "1")]
    assert len(set(keys)) == 3
    assert there.key({"c": "1", "x": 1}) == there.key({"c": "1", "x": 1.0})
    nested = SpaceTransform(NESTED)
    assert nested.key({"optimizer": "adam", "batch": 16}) != nested.key({"optimizer": "sgd", "batch": 16})


@given(st.data())
@settings(deadline=None)
def test_enumerated_configurations_are_valid_and_different(data):
    space = data.draw(spaces(finite=True))
    there = SpaceTransform(space)
    listed = list(there.enumerate())

    for params in listed:
        space.check(params)
    assert len({there.key(p) for p in listed}) == len(listed)


def test_nested_conditions_are_enumerated_branch_by_branch():
    there = transform(
        a={"type": "int", "min": 1, "max": 1000},
        b={"type": "int", "min": 0, "max": 9, "when": {"a": [5, 6]}},
        c={"type": "categorical", "values": ["x", "y"], "when": {"b": [0]}},
    )
    assert len(list(there.enumerate())) == 998 + 2 * (9 + 2)


def test_one_value_has_one_configuration():
    there = transform(x={"type": "float", "min": 0.25, "max": 0.25}, c={"type": "categorical", "values": ["a"]})
    assert list(there.enumerate()) == [{"x": 0.25, "c": "a"}]
    assert there.from_unit(there.to_unit({"x": 0.25, "c": "a"})) == {"x": 0.25, "c": "a"}


def test_an_infinite_space_lists_nothing():
    assert list(SpaceTransform(NESTED).enumerate()) == []


# -- steps, orders, fixed values


def test_steps_are_the_decimals_that_were_written():
    there = transform(x={"type": "float", "min": 0.1, "max": 0.75, "step": 0.1})
    listed = [params["x"] for params in there.enumerate()]
    assert listed == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert there.from_unit(there.to_unit({"x": 0.1 + 0.2})) == {"x": 0.3}


@given(parameters(finite=True))
@settings(deadline=None)
def test_each_discrete_value_has_its_own_place_in_order(entry):
    there = transform(p=entry)
    units = [there.to_unit(params)[0] for params in there.enumerate()]
    assert units == sorted(set(units))
    assert len(units) == there.axes[0].size


def test_a_fixed_value_is_in_every_configuration():
    there = transform(arch={"type": "fixed", "value": "cnn"}, x={"type": "float", "min": 0, "max": 1})
    assert there.from_unit(np.array([np.nan, 0.5])) == {"arch": "cnn", "x": 0.5}


# -- constraints


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_many_places_at_once_are_allowed_as_each_one_is(data):
    space = data.draw(spaces(constrained=True))
    there = SpaceTransform(space)
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    units = rng.random((40, len(space)))
    units[rng.random(units.shape) < 0.05] = np.nan
    assert there.feasible(units).tolist() == [space.allows(there.from_unit(unit)) for unit in units]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_samples_are_allowed_or_the_space_is_refused(data):
    space = data.draw(spaces(constrained=True))
    there = SpaceTransform(space)
    try:
        there.check_feasible()
    except InvalidRequest as error:
        assert {problem.field for problem in error.problems} <= {f"constraints.{i}" for i in range(3)}  # noqa: PT017
        return
    params = there.sample(np.random.default_rng(1))
    space.check(params)
    assert SpaceTransform(space).sample(np.random.default_rng(1)) == params


@given(st.data())
@settings(deadline=None)
def test_what_is_listed_is_all_that_constraints_allow(data):
    space = data.draw(spaces(finite=True, constrained=True))
    everything = SpaceTransform(Space.from_dict(space.to_dict()))
    allowed = [params for params in everything.enumerate() if space.allows(params)]
    assert list(SpaceTransform(space).enumerate()) == allowed


UNIT = {"type": "float", "min": 0.0, "max": 1.0}


@pytest.mark.parametrize(
    ("entries", "constraints"),
    [
        pytest.param({"x": UNIT, "y": UNIT}, ["abs(x - y) < 1e-7"], id="thin-band"),
        pytest.param({"x": UNIT, "y": UNIT, "z": UNIT}, ["0.9999 < x * y * z"], id="corner"),
        pytest.param({"x": UNIT, "y": UNIT}, ["(x - 0.3) ** 2 + (y - 0.3) ** 2 < 1e-9"], id="small-disc"),
        pytest.param(
            {"x": UNIT, "lr": {"type": "float", "min": 1e-9, "max": 1, "scale": "log"}},
            ["1e-8 < lr < 1.01e-8", "x < 1e-4"],
            id="two-thin-ranges",
        ),
        pytest.param(
            {
                "w": {"type": "int", "min": 1, "max": 10**6, "scale": "log"},
                "d": {"type": "int", "min": 1, "max": 10**6, "scale": "log"},
                "x": UNIT,
            },
            ["w * d == 4096"],
            id="product",
        ),
    ],
)
def test_a_small_allowed_part_is_found_and_drawn_from_with_variety(entries, constraints):
    space = Space.from_dict(entries, constraints)
    there = SpaceTransform(space)
    there.check_feasible()
    drawn = [there.sample(np.random.default_rng(seed)) for seed in range(20)]
    for params in drawn:
        space.check(params)
    assert len({there.key(params) for params in drawn}) == 20
    again = SpaceTransform(space)
    assert [again.sample(np.random.default_rng(seed)) for seed in range(20)] == drawn


def test_a_needle_that_nothing_points_to_is_drawn_from_where_a_configuration_of_it_is_known():
    entries = {name: {"type": "float", "min": 0, "max": 1} for name in "xy"}
    needle = "(x > 0.12345) + (x < 0.12346) + (y > 0.76543) + (y < 0.76544) == 4"
    space = Space.from_dict(entries, [needle])
    with pytest.raises(InvalidRequest, match="no configuration was found"):
        SpaceTransform(space).sample(np.random.default_rng(1))

    transform = SpaceTransform(space)
    transform.known = [{"x": 0.123455, "y": 0.765435}]
    drawn = [transform.sample(np.random.default_rng(seed)) for seed in range(5)]
    assert all(space.allows(params) for params in drawn)
    assert len({params["x"] for params in drawn}) == 5


def test_one_allowed_configuration_of_a_hundred_thousand_is_found():
    digits = {f"d{i}": {"type": "categorical", "values": list("abcdefghij")} for i in range(5)}
    space = Space.from_dict(digits, [f"d{i} == '{letter}'" for i, letter in enumerate("jihgf")])
    there = SpaceTransform(space)
    assert there.sample(np.random.default_rng(0)) == {f"d{i}": letter for i, letter in enumerate("jihgf")}
    assert len(list(there.enumerate())) == 1


def test_constraints_that_nothing_meets_are_named():
    entries = {"x": UNIT, "y": UNIT}
    with pytest.raises(InvalidRequest) as error:
        SpaceTransform(Space.from_dict(entries, ["x < y", "x > 2 * y + 0.1"])).check_feasible()
    for problem in error.value.problems:
        assert problem.field in {"constraints.0", "constraints.1"}
        assert "together with the others" in problem.message
    with pytest.raises(InvalidRequest, match=r"constraints\.1: no configuration was found for which 'y > 1' holds"):
        SpaceTransform(Space.from_dict(entries, ["x < 0.5", "y > 1"])).check_feasible()


def test_a_list_of_a_vast_space_of_which_nothing_is_allowed_ends():
    digits = {f"d{i}": {"type": "int", "min": 0, "max": 9} for i in range(12)}
    space = Space.from_dict(digits, ["+".join(digits) + " == 200"])
    assert list(SpaceTransform(space).enumerate()) == []


def test_thousands_of_candidates_are_looked_at_at_once():
    entries = {f"x{i}": UNIT for i in range(8)} | {
        "width": {"type": "int", "min": 8, "max": 4096, "scale": "log"},
        "depth": {"type": "int", "min": 1, "max": 64},
        "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
        "momentum": UNIT | {"when": {"optimizer": ["sgd"]}},
    }
    there = SpaceTransform(
        Space.from_dict(
            entries, ["width * depth <= 4096", "x0 + x1 + x2 <= 1.5", "optimizer == 'adam' or momentum > 0.5"]
        )
    )
    units = np.random.default_rng(0).random((2000, len(entries)))
    allowed = there.feasible(units)
    assert allowed.tolist() == [there.space.allows(there.from_unit(unit)) for unit in units]
    assert 0.01 < allowed.mean() < 0.6
