"""Learning curves: which points are kept, and what smoothing does."""

import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.tables import a_row, a_table
from tuning_service.analysis.curves import KEPT, TOTAL_POINTS, Curve, curves, reduced, select, smoothed
from tuning_service.analysis.lttb import lttb, thinned


def triangles(x: list[float], y: list[float], count: int) -> list[int]:
    """LTTB as its author describes it, one point after the other."""
    kept, size = [0], (len(x) - 2) / (count - 2)
    edges = [1 + i * (len(x) - 2) // (count - 2) for i in range(count - 1)] + [len(x)]
    assert size >= 1
    for bucket in range(count - 2):
        following = range(edges[bucket + 1], edges[bucket + 2])
        mean_x, mean_y = np.mean([x[i] for i in following]), np.mean([y[i] for i in following])
        a = kept[-1]

        def area(i: int, a: int = a, mx: float = mean_x, my: float = mean_y) -> float:
            return abs((x[a] - mx) * (y[i] - y[a]) - (x[a] - x[i]) * (my - y[a]))

        kept.append(max(range(edges[bucket], edges[bucket + 1]), key=area))
    return [*kept, len(x) - 1]


def points(values: np.ndarray) -> np.ndarray:
    steps = np.arange(1.0, len(values) + 1)
    return np.stack([steps, 0.5 * steps, values])


@pytest.mark.parametrize(("length", "count"), [(50, 7), (51, 50), (500, 20), (4, 3), (3, 2)])
def test_the_points_with_the_largest_triangles_are_kept(length, count) -> None:
    x, y = np.arange(float(length)), np.random.default_rng(length).normal(size=(3, length)).cumsum(axis=1)
    found = lttb(np.stack([x, x, x]), y, count)
    for row, line in zip(found.tolist(), y, strict=True):
        assert row == ([0, length - 1] if count == 2 else triangles(x.tolist(), line.tolist(), count))


def test_a_spike_is_seen_however_few_points_are_left() -> None:
    values = np.full(5000, 0.5)
    values[3217] = 90.0
    curve = reduced(points(values))
    assert curve.points.shape == (3, KEPT)
    assert curve.points[2].max() == 90.0
    chosen = thinned(curve.points[0], curve.points[2], 12)
    assert curve.points[2][chosen].max() == 90.0


def test_a_gap_stays_a_gap_and_infinity_infinity() -> None:
    values = np.linspace(0, 1, 5000)
    values[1000:1100] = math.nan
    values[2000] = math.inf
    curve = reduced(points(values))
    assert np.isnan(curve.points[2]).sum() == 1
    assert np.isinf(curve.points[2]).sum() == 1
    assert curve.count == 5000


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=400), st.integers(8, 300))
def test_any_curve_is_reduced_to_some_of_its_points(values, count) -> None:
    whole = points(np.array(values, dtype=float))
    chosen = thinned(whole[0], whole[2], count)
    assert len(chosen) <= count or len(chosen) == len(values)
    assert np.all(np.diff(chosen) > 0)
    curve = reduced(whole)
    again = Curve.from_bytes(curve.to_bytes())
    assert np.array_equal(again.points, curve.points, equal_nan=True)
    assert np.array_equal(again.means, curve.means, equal_nan=True)
    assert again.count == len(values)


def test_means_are_of_equal_pieces() -> None:
    values = np.random.default_rng(1).random(KEPT * 10)
    values[5] = math.nan
    values[10:20] = math.nan
    means = reduced(points(values)).means
    expected = values.reshape(KEPT, 10)
    assert means[2][0] == pytest.approx(np.nanmean(expected[0]))
    assert math.isnan(means[2][1])
    assert means[2][2:] == pytest.approx(expected[2:].mean(axis=1))
    assert means[0][0] == pytest.approx(5.5)


def test_a_short_curve_is_averaged_point_by_point() -> None:
    y = np.array([1.0, 3.0, math.nan, 2.0, 8.0])
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    second = 0.5 * 1.0 + 0.5 * 3.0
    third = 0.25 * second + 0.75 * 2.0  # two steps on, since there is a gap between
    expected = [1.0, second, math.nan, third, 0.5 * third + 0.5 * 8.0]
    assert smoothed(x, y, 0.5, extent=4.0, count=5) == pytest.approx(expected, nan_ok=True)


def test_a_long_curve_is_smoothed_as_strongly_before_and_after_reduction() -> None:
    steps = np.arange(20_000.0)
    values = np.sin(steps / 3000) + np.random.default_rng(0).normal(0, 0.3, len(steps))
    curve = reduced(np.stack([steps, steps, values]))
    fine = smoothed(steps, values, 0.9, extent=20_000.0, count=20_000)
    coarse = smoothed(curve.means[0], curve.means[2], 0.9, extent=20_000.0, count=20_000)
    at = curve.means[0].astype(int)
    # Behind the first values, from which either starts.
    assert np.abs(coarse - fine[at])[30:].max() < 0.1
    assert np.std(np.diff(coarse)) < 0.5 * np.std(np.diff(curve.means[2]))


def many(count: int, length: int) -> tuple:
    table = a_table(*(a_row(i, (i * 37 % count) / count) for i in range(count)))
    rng = np.random.default_rng(0)
    few = [reduced(points(rng.normal(size=length).cumsum() * 1e-3)) for _ in range(20)]
    return table, {i: few[i % 20] for i in range(count)}


def test_a_thousand_curves_are_small_and_the_best_have_more_points() -> None:
    table, known = many(1000, 600)
    answer = curves(table, select(table, "all"), known, points=200, along="step", smooth=0.0)
    assert len(orjson.dumps(answer)) < 300_000
    assert answer["total_points"] <= TOTAL_POINTS
    assert answer["total_measurements"] == 600_000
    best = [c for c in answer["curves"] if c["best"]]
    assert {c["trial"] for c in best} == {table.rows[p].number for p in table.ranked()[:10]}
    assert {len(c["x"]) for c in best} == {answer["points_per_best_curve"]}
    assert answer["points_per_best_curve"] == 200 > answer["points_per_curve"] >= 8
    assert all(c["x"][0] == 1 and c["x"][-1] == 600 for c in answer["curves"])


def test_of_ten_thousand_trials_some_are_shown_and_it_is_said() -> None:
    table = a_table(*(a_row(i, i / 10_000) for i in range(10_000)))
    selection = select(table, "all")
    assert len(selection.places) == 1500
    assert {9999, 9998, 0} <= set(selection.places.tolist())
    assert "1,500 of 10,000 trials are shown" in selection.note


def test_what_is_not_a_number_is_written_as_measurements_are() -> None:
    table, known = a_table(a_row(0, 0.5)), {0: Curve.whole(points(np.array([1.0, math.nan, -math.inf])))}
    answer = curves(table, select(table, [0]), known, points=200, along="time", smooth=0.0)
    assert answer["curves"] == [{"trial": 0, "best": True, "x": [0.5, 1.0, 1.5], "y": [1.0, "nan", "-inf"]}]


@pytest.mark.parametrize(
    ("rows", "note"),
    [((), "There are no trials yet."), ((a_row(0, 0.5),), "No trial has measured this metric.")],
)
def test_nothing_to_draw_is_explained(rows, note) -> None:
    table = a_table(*rows)
    answer = curves(table, select(table, "all"), {}, points=200, along="step", smooth=0.5)
    assert answer["curves"] == []
    assert answer["note"] == note


def test_the_best_twenty_are_the_best_twenty() -> None:
    table = a_table(*(a_row(i, (i * 7 % 50) / 50) for i in range(50)))
    chosen = select(table, "best:20").places
    assert sorted(table.values[chosen, 0]) == sorted(table.values[:, 0])[-20:]
