"""What the measurements of one execution amount to."""

import math

import pytest

from tests.samples import a_spec
from tuning_service.control.results import summarise
from tuning_service.domain.job import Goal, MetricConstraint, Objective, Summary
from tuning_service.domain.trial import Measurement

BEST, LAST = Summary.BEST, Summary.LAST


def points(**series):
    return [
        Measurement(step=step, metric=name, value=value, elapsed_s=0.0)
        for name, values in series.items()
        for step, value in enumerate(values)
    ]


def spec(*objectives, limits=()):
    return a_spec(
        objectives=tuple(Objective(metric=m, goal=goal, summary=summary) for m, goal, summary in objectives),
        metric_constraints=tuple(MetricConstraint.parse(text, "x") for text in limits),
    )


def test_each_objective_has_its_own_summary_and_a_constraint_the_last_value():
    job = spec(("acc", Goal.MAXIMIZE, BEST), ("loss", Goal.MINIMIZE, LAST), limits=["ms <= 20", "mb <= 9"])
    values, metrics = summarise(job, points(acc=[1, 3, 2], loss=[1, 3, 2], ms=[30, 10], mb=[8], other=[5, 6]))
    assert values == {"acc": 3, "loss": 2, "ms": 10, "mb": 8}
    assert list(values) == ["acc", "loss", "ms", "mb"]
    assert metrics == {"acc": 2, "loss": 2, "ms": 10, "mb": 8, "other": 6}


def test_of_a_limited_objective_the_value_that_counts_is_limited():
    job = spec(("acc", Goal.MAXIMIZE, BEST), limits=["acc >= 2.5"])
    values, _ = summarise(job, points(acc=[1, 3, 2]))
    assert values == {"acc": 3}
    assert job.excess(values) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_does_not_count(bad):
    job = spec(("acc", Goal.MAXIMIZE, BEST), ("loss", Goal.MINIMIZE, LAST), limits=["ms <= 20"])
    values, metrics = summarise(job, points(acc=[1, bad], loss=[1, bad], ms=[3, bad]))
    assert values == {"acc": 1}
    assert not math.isfinite(metrics["ms"])
