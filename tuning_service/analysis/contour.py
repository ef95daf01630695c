"""The objective over two parameters: trials, and what a Gaussian process makes of them in between."""

import math
from typing import Any

import numpy as np

from tuning_service.analysis.axes import CATEGORICAL, ChartAxis, axis_named
from tuning_service.analysis.numbers import Places, Vector, amount, column, reported, rounded, sentences, spread
from tuning_service.analysis.table import TrialTable
from tuning_service.analysis.views import axis_values
from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.texts import counted

MOST_POINTS = 5000
_MOST_FITTED = 200
_CELLS = 41  # along a numeric axis
_NEAR = 0.15  # of an axis: further from every trial, nothing is claimed
_LENGTHS = (0.08, 0.15, 0.3, 0.6)
_NOISES = (0.003, 0.03, 0.2, 0.6)  # parts of the variance
_ALIKE = 0.3  # how much one category tells of another


def contour(table: TrialTable, x: str, y: str, metric: str | None) -> dict[str, Any]:
    """Points, and a grid of expected values: `z[row][column]` belongs to `y[row]` and `x[column]`."""
    if x == y:
        problem = FieldProblem(field="y", message=f"is {x}, as x is.", remedy="Name another parameter.")
        raise InvalidRequest(problem)
    objective = table.objective(metric)
    axes = [axis_named(table.spec.space, x, "x"), axis_named(table.spec.space, y, "y")]
    completed = np.flatnonzero(table.completed)
    params = table.params(completed)
    places = np.array([axis.places(params) for axis in axes]).reshape(2, len(completed)).T
    active = ~np.isnan(places).any(axis=1)
    places, numbers = places[active], completed[active]
    losses = table.losses[numbers, objective]
    sign = table.signs[objective]
    centres = [_cells(axis) for axis in axes]
    z, said = _grid(axes, places, losses * sign, sign, centres)
    shown = spread(len(numbers), MOST_POINTS)
    idle = len(completed) - len(numbers)
    nothing = table.nothing()
    return {
        "x": axes[0].described() | {"grid": _grid_values(axes[0], centres[0])},
        "y": axes[1].described() | {"grid": _grid_values(axes[1], centres[1])},
        "objective": table.spec.objectives[objective].metric,
        "goal": str(table.spec.objectives[objective].goal),
        "z": [column(rounded(row, 5)) for row in z],
        "columns": {
            "number": table.numbers[numbers[shown]].tolist(),
            "x": axis_values(axes[0], places[shown, 0]),
            "y": axis_values(axes[1], places[shown, 1]),
            "value": reported(rounded(table.values[numbers[shown], objective], 6)),
        },
        "note": sentences(
            nothing,
            f"Left out: {counted(idle, 'trial')} in which {x} or {y} is inactive." if idle else "",
            "" if nothing else said,
            f"{amount(len(shown))} of {amount(len(numbers))} points are shown." if len(shown) < len(numbers) else "",
        ),
    }


def _cells(axis: ChartAxis) -> Vector:
    """Middles of the grid's cells: from 0 to 1, or places of levels: of too many, some, evenly."""
    if axis.kind == CATEGORICAL:
        return spread(len(axis.levels), _CELLS).astype(float)
    return np.linspace(0.0, 1.0, _CELLS)


def _grid_values(axis: ChartAxis, cells: Vector) -> list[Any]:
    return [int(c) for c in cells] if axis.kind == CATEGORICAL else column(rounded(axis.at(cells), 6))


def _grid(
    axes: list[ChartAxis], places: Vector, values: Vector, sign: float, centres: list[Vector]
) -> tuple[Vector, str]:
    """(rows, columns) expected values, NaN where nothing is claimed; and what to say of them."""
    # Scaled, so that no square of the widest values overflows.
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    losses = values * sign / scale
    shape = (len(centres[1]), len(centres[0]))
    if len(losses) < 3:
        return np.full(shape, np.nan), "Fewer than three trials have both parameters: there is no surface to draw."
    notes = [f"Cells further than {_NEAR} of an axis from every trial are empty."]
    fitted = _fitted(losses)
    if len(fitted) < len(losses):
        notes.append(
            f"The surface is drawn through {len(fitted)} of {amount(len(losses))} trials, evenly from best to worst."
        )
    units = np.stack(
        [p if a.kind == CATEGORICAL else a.unit(p) for a, p in zip(axes, places[fitted].T, strict=True)], axis=1
    )
    targets, cut = _tamed(losses[fitted])
    if cut is not None:
        notes.append(f"Values worse than {cut * sign * scale:.4g} count as that, so that they do not hide the rest.")
    grid = np.stack([axis.ravel() for axis in np.meshgrid(centres[0], centres[1])], axis=1)
    expected = _expected(axes, units, targets, grid)
    expected[_distance(axes, units, grid) > _NEAR] = np.nan
    return (expected * sign * scale).reshape(shape), sentences(*notes)


def _fitted(losses: Vector) -> Places:
    order = np.argsort(losses, kind="stable")
    return np.sort(order[spread(len(order), _MOST_FITTED)])


def _tamed(losses: Vector) -> tuple[Vector, float | None]:
    """Losses without the far tail of those that went wrong, and where it was cut."""
    low, high = np.quantile(losses, [0.0, 0.8])
    limit = high + 2 * (high - low)
    if high == low or losses.max() <= limit:
        return losses, None
    return np.minimum(losses, limit), float(limit)


def _gaps(axes: list[ChartAxis], a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """(n, m) squared distances along numeric axes, and how many categories differ."""
    squared, differ = np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    for place, axis in enumerate(axes):
        gap = a[:, None, place] - b[None, :, place]
        if axis.kind == CATEGORICAL:
            differ += gap != 0
        else:
            squared += gap**2
    return squared, differ


def _distance(axes: list[ChartAxis], units: Vector, grid: Vector) -> Vector:
    squared, differ = _gaps(axes, grid, units)
    return np.asarray(np.sqrt(np.where(differ > 0, np.inf, squared).min(axis=1)))


def _kernel(axes: list[ChartAxis], a: Vector, b: Vector, length: float) -> Vector:
    """Matérn 5/2 along numeric axes, times a constant for each category that differs."""
    squared, differ = _gaps(axes, a, b)
    r = np.sqrt(5 * squared) / length
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r) * _ALIKE**differ)


def _expected(axes: list[ChartAxis], units: Vector, targets: Vector, grid: Vector) -> Vector:
    """The mean of the process whose length and noise the trials make most likely."""
    centre, scale = targets.mean(), targets.std()
    if scale == 0:
        return np.full(len(grid), centre)
    y = (targets - centre) / scale
    best: tuple[float, float, Vector] = (-math.inf, _LENGTHS[-1], np.zeros(len(y)))
    for length in _LENGTHS:
        # One decomposition serves all noises: they only move the eigenvalues.
        values, vectors = np.linalg.eigh(_kernel(axes, units, units, length))
        turned = vectors.T @ y
        for noise in _NOISES:
            spectrum = np.maximum(values, 0.0) * (1 - noise) + noise
            likely = -0.5 * float((turned**2 / spectrum).sum() + np.log(spectrum).sum())
            if likely > best[0]:
                best = (likely, length, (1 - noise) * (vectors @ (turned / spectrum)))
    _, length, weights = best
    return np.asarray(centre + scale * (_kernel(axes, grid, units, length) @ weights))
