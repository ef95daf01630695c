"""A search space as arrays: many points of the unit cube at once, snapped to what the space can take.

A point is a row with one coordinate per axis of the `SpaceTransform`, NaN where the parameter is inactive.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuning_service.search.transform import Axis, SpaceTransform

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SAME = 1e-9
# A category with more values than this has a code of so many columns instead of a column for each value: any two codes
# have a squared distance of 1 ± 0.1, and what a suggestion costs does not grow with the values.
_MOST_COLUMNS = 128


class Cube:
    """Snapping, activity and the features that a kernel measures distances in."""

    def __init__(self, transform: SpaceTransform) -> None:
        self.transform = transform
        self.axes = transform.axes
        self._conditions = [self._conditions_of(axis) for axis in self.axes]
        self.searched = transform.searched  # the others tell nothing
        self._codes = {i: _codes(self.axes[i].size or 0) for i in self.searched if self._is_coded(self.axes[i])}
        self._columns = [(i, level) for i in self.searched for level in self._levels(i)]
        grouped = {i: group for group, i in enumerate(self.searched)}
        self.groups = np.array([grouped[i] for i, _ in self._columns], dtype=np.int64)
        self.is_numeric = np.array([level is None for _, level in self._columns], dtype=np.bool_)

    def _levels(self, place: int) -> Sequence[int | None]:
        axis = self.axes[place]
        if place in self._codes:
            return range(_MOST_COLUMNS)
        return range(axis.size) if axis.is_category and axis.size else [None]

    @staticmethod
    def _is_coded(axis: Axis) -> bool:
        return axis.is_category and (axis.size or 0) > _MOST_COLUMNS

    def _conditions_of(self, axis: Axis) -> list[tuple[int, Matrix]]:
        """Place of each parent, and its coordinates for which the axis is active."""
        places = {a.name: i for i, a in enumerate(self.axes)}
        return [
            (places[c.parent], np.array([self.axes[places[c.parent]].to_unit(v) for v in c.values]))
            for c in axis.parameter.when
        ]

    @cached_property
    def steps(self) -> Matrix:
        """Distance between neighbouring values on each axis, (d,); 0 for a continuum."""
        return np.array([0.0 if axis.size is None else 1.0 / axis.size for axis in self.axes])

    @cached_property
    def categories(self) -> Mask:
        """True for axes whose neighbouring coordinates say nothing about each other, (d,)."""
        return np.array([axis.is_category for axis in self.axes])

    def snap(self, units: Matrix) -> Matrix:
        """The nearest points that the space can take, (n, d): NaN where inactive. Any numbers may stand there."""
        snapped = np.clip(np.nan_to_num(units, nan=0.5), 0.0, 1.0)
        for i, axis in enumerate(self.axes):
            if axis.snapped is not None:
                snapped[:, i] = axis.snapped(snapped[:, i])
            for parent, allowed in self._conditions[i]:  # parents stand before their children
                # NaN, the coordinate of an inactive parent, is near nothing.
                holds = (np.abs(snapped[:, parent, None] - allowed) < _SAME).any(axis=1)
                snapped[~holds, i] = np.nan
        return snapped

    def features(self, points: Matrix) -> Matrix:
        """Coordinates in which the squared distance of two categories is 1, (n, columns).

        An inactive parameter stands in the middle of its axis: points in which it plays no part agree in it.
        """
        columns = np.empty((len(points), len(self._columns)))
        coded = {place: _coded(points[:, place], codes) for place, codes in self._codes.items()}
        for column, (place, level) in enumerate(self._columns):
            values = points[:, place]
            if level is None:
                columns[:, column] = np.nan_to_num(values, nan=0.5)
            elif place in coded:
                columns[:, column] = coded[place][:, level]
            else:
                size = self.axes[place].size or 1
                columns[:, column] = np.where(np.floor(values * size) == level, np.sqrt(0.5), 0.0)
        return columns


def _codes(size: int) -> NDArray[np.int8]:
    """A row of signs for each value, the same in every process."""
    return np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(size, _MOST_COLUMNS))


def _coded(values: Matrix, codes: NDArray[np.int8]) -> Matrix:
    """The codes of the values at these coordinates (n,), (n, columns); 0 where inactive."""
    inactive = np.isnan(values)
    places = np.minimum(np.nan_to_num(values) * len(codes), len(codes) - 1).astype(np.int64)
    return np.where(inactive[:, None], 0.0, codes[places] * np.sqrt(0.5 / _MOST_COLUMNS))
