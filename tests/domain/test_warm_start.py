"""What a job learns of an earlier one whose space, objectives or constraints differ."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import a_job, a_spec, a_trial
from tuning_service.domain.job import Goal, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.warm_start import learned

LOSS = Objective(metric="loss", goal=Goal.MINIMIZE)
FLOAT = {"type": "float", "min": 0.0, "max": 1.0}
CHOICE = {"type": "categorical", "values": ["a", "b"]}


def a_search(space, *, constraints=(), objectives=(LOSS,), limits=()):
    return a_spec(
        space=Space.from_dict(space, constraints),
        objectives=objectives,
        metric_constraints=tuple(MetricConstraint.parse(text, "x") for text in limits),
    )


def learn(spec, old_space, *params, old=None, **trial):
    """What a job with `spec` learns of completed trials with these `params`."""
    earlier = a_job(spec=old or a_search(old_space))
    changes = {"status": TrialStatus.COMPLETED, "value": 1.0, "values": {"loss": 1.0}} | trial
    trials = [a_trial(earlier, i, params=p, **changes) for i, p in enumerate(params)]
    return learned(spec, earlier, trials)


def mapped(entry, value, old=FLOAT):
    found = learn(a_search({"x": entry}), {"x": old}, {"x": value})
    return [o.params["x"] for o in found.observations], found.report["unused"]


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        (FLOAT, 0.3, 0.3),
        (FLOAT, 1, 1.0),
        ({**FLOAT, "min": 0.1, "scale": "log"}, 0.3, 0.3),
        ({**FLOAT, "step": 0.25}, 0.3, 0.25),
        ({**FLOAT, "step": 0.3}, 1.0, 0.9),
        ({"type": "int", "min": 0, "max": 10}, 3.0, 3),
        ({"type": "int", "min": 0, "max": 10}, 3.4, 3),
        ({"type": "int", "min": 1, "max": 10, "scale": "log"}, 3.6, 4),
        ({"type": "int", "min": 0, "max": 10, "step": 4}, 10, 8),
        ({"type": "int", "min": 0, "max": 10, "step": 4}, 6.5, 8),
        ({"type": "int", "min": 8, "max": 64, "scale": "pow2"}, 24, 32),
        ({"type": "int", "min": 8, "max": 64, "scale": "pow2"}, 16.0, 16),
        (CHOICE, "b", "b"),
        ({"type": "ordinal", "values": [1, 2, 4]}, 2.0, 2),
        ({"type": "bool"}, True, True),
        ({"type": "fixed", "value": 3}, 3, 3),
    ],
)
def test_a_value_is_kept_or_moved_to_the_nearest_on_the_grid(entry, value, expected):
    [found], unused = mapped(entry, value)
    assert (found, type(found)) == (expected, type(expected))
    assert unused == {}


@pytest.mark.parametrize(
    ("entry", "value", "reason"),
    [
        (FLOAT, 1.01, "x was out of range"),
        ({"type": "int", "min": 2, "max": 5}, 1, "x was out of range"),
        ({"type": "int", "min": 8, "max": 64, "scale": "pow2"}, 65, "x was out of range"),
        (FLOAT, "b", "x was no number"),
        (FLOAT, True, "x was no number"),
        (CHOICE, "c", "x had values that are not listed"),
        ({"type": "ordinal", "values": [1, 2]}, 1.5, "x had values that are not listed"),
        ({"type": "bool"}, 1, "x had values that are not listed"),
        ({"type": "fixed", "value": 3}, 4, "x had values that are not listed"),
    ],
)
def test_a_value_that_cannot_be_had_makes_the_trial_unused(entry, value, reason):
    assert mapped(entry, value) == ([], {reason: 1})


numbers = st.floats(-10, 200, allow_nan=False) | st.integers(-10, 200)
entries = st.sampled_from(
    [
        FLOAT,
        {"type": "float", "min": 0.5, "max": 99.5, "scale": "log"},
        {"type": "float", "min": -1.0, "max": 100.0, "step": 0.7},
        {"type": "int", "min": -5, "max": 101},
        {"type": "int", "min": 2, "max": 101, "scale": "log"},
        {"type": "int", "min": -5, "max": 101, "step": 7},
        {"type": "int", "min": 2, "max": 128, "scale": "pow2"},
    ]
)


@given(entry=entries, value=numbers)
def test_whatever_is_learned_is_valid_and_the_nearest(entry, value):
    spec = a_search({"x": entry})
    [parameter] = spec.space
    found, unused = mapped(entry, value)
    assert bool(found) == (parameter.min <= value <= parameter.max) == (not unused)
    for x in found:
        spec.space.check({"x": x})
        choices = parameter.choices
        if choices and entry.get("scale") != "pow2":
            assert abs(x - value) == pytest.approx(min(abs(c - value) for c in choices))


def test_a_new_parameter_has_its_default_or_its_middle_and_one_that_is_gone_is_left_out():
    spec = a_search({"x": FLOAT, "y": {**FLOAT, "default": 0.9}, "z": {**FLOAT, "max": 3.0}})
    found = learn(spec, {"x": FLOAT, "old": FLOAT}, {"x": 0.5, "old": 0.1})
    assert [dict(o.params) for o in found.observations] == [{"x": 0.5, "y": 0.9, "z": 1.5}]
    assert found.report["assumed"] == {"y": 0.9, "z": 1.5}
    assert found.report["ignored"] == ["old"]


def test_the_new_conditions_hold():
    momentum = {**FLOAT, "when": {"opt": ["b"]}}
    spec = a_search({"momentum": momentum, "opt": CHOICE})
    found = learn(
        spec, {"opt": CHOICE, "momentum": FLOAT}, {"opt": "a", "momentum": 0.1}, {"opt": "b", "momentum": 0.2}
    )
    assert [dict(o.params) for o in found.observations] == [{"opt": "a"}, {"opt": "b", "momentum": 0.2}]
    # And the other way round: what was inactive then is assumed now.
    found = learn(a_search({"opt": CHOICE, "momentum": FLOAT}), {"opt": CHOICE, "momentum": momentum}, {"opt": "a"})
    assert [dict(o.params) for o in found.observations] == [{"opt": "a", "momentum": 0.5}]


def test_the_new_constraints_hold():
    spec = a_search({"x": FLOAT, "y": FLOAT}, constraints=["x + y <= 1"])
    found = learn(spec, {"x": FLOAT, "y": FLOAT}, {"x": 0.2, "y": 0.3}, {"x": 0.9, "y": 0.3}, {"x": 0.9, "y": 0.4})
    assert len(found.observations) == found.report["used"] == 1
    assert found.report["unused"] == {"a constraint of the space does not hold": 2}


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        ((dataclasses.replace(LOSS, goal=Goal.MAXIMIZE),), "the goal was to maximize loss"),
        ((dataclasses.replace(LOSS, metric="error"),), "loss was no objective"),
    ],
)
def test_a_job_with_another_goal_teaches_nothing(old, reason):
    found = learn(a_search({"x": FLOAT}), None, {"x": 0.5}, {"x": 0.6}, old=a_search({"x": FLOAT}, objectives=old))
    assert found.observations == []
    assert found.report["unused"] == {reason: 2}


def test_objectives_are_matched_by_metric_in_the_new_order_and_sign():
    accuracy = Objective(metric="acc", goal=Goal.MAXIMIZE)
    old = a_search({"x": FLOAT}, objectives=(LOSS, accuracy))
    values = {"loss": 2.0, "acc": 0.75}
    found = learn(a_search({"x": FLOAT}, objectives=(accuracy, LOSS)), None, {"x": 0.5}, old=old, values=values)
    assert [o.losses for o in found.observations] == [(-0.75, 2.0)]
    found = learn(a_search({"x": FLOAT}, objectives=(accuracy,)), None, {"x": 0.5}, old=old, values=values)
    assert [o.losses for o in found.observations] == [(-0.75,)]


@pytest.mark.parametrize(("metrics", "violation"), [({"ms": 25.0}, 5.0), ({"ms": math.nan}, None), ({}, None)])
def test_a_limit_is_held_against_what_the_earlier_program_printed(metrics, violation):
    spec = a_search({"x": FLOAT}, limits=["ms <= 20"])
    found = learn(spec, {"x": FLOAT}, {"x": 0.5}, metrics=metrics)
    assert [o.violations for o in found.observations] == ([] if violation is None else [(violation,)])
    assert found.report["unused"] == ({"ms was not measured": 1} if violation is None else {})


def test_failures_are_learned_of_too():
    found = learn(a_search({"x": FLOAT}), {"x": FLOAT}, {"x": 0.5}, status=TrialStatus.FAILED, value=None, values={})
    assert [(o.losses, o.job != "") for o in found.observations] == [(None, True)]
