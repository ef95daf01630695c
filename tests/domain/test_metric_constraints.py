"""Limits on metrics: how they are written, and by how much values are beyond them."""

import math

import pytest

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import MetricConstraint


def limit(text):
    return MetricConstraint.parse(text, "metric_constraints.0")


@pytest.mark.parametrize("text", ["ms <= 20", "ms<=20.", "val/acc @1 >= +.5e-3", "loss >= -1e300"])
def test_a_limit_is_read_and_written(text):
    assert limit(limit(text).text) == limit(text)


@pytest.mark.parametrize(
    "text", ["ms <= 1.2.3", "ms <= .", "10 <= ms <= 20", "<= 3", "ms < 3", "ms <= 1e999", "ms <= nan"]
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(InvalidRequest, match=r"metric_constraints\.0: .* is no constraint on a metric"):
        limit(text)


@pytest.mark.parametrize("text", ["ms <= 1e-300", "ms >= 1.7e308", "ms <= 0", "ms <= -1.7e308"])
@pytest.mark.parametrize("value", [1.7e308, -1.7e308, 0.0])
def test_an_excess_is_a_number_however_large(text, value):
    constraint = limit(text)
    assert math.isfinite(sum([constraint.excess(value)] * 20))
    assert math.isfinite(constraint.violation(value))
    assert (constraint.violation(value) > 0) == (constraint.excess(value) > 0)
