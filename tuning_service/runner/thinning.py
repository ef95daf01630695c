"""Fewer points of a metric that is printed all the time, without losing the ones that matter."""

import math
from collections.abc import Sequence

from tuning_service.domain.trial import Measurement

_DENSE = 1000  # points of one metric before every second, then every fourth … is dropped


class Thinner:
    """Passes on the first thousand points of each metric; after each thousand, half as many of what follows.

    A new least or greatest value always passes, and at the end so do the last point and, of finite ones, that of the
    highest step: whichever way an objective is summarised, its value is what it would be without thinning. nan and inf
    are neither least nor greatest.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, _Series] = {}

    def keep(self, point: Measurement) -> bool:
        """True when `point` is to be passed on."""
        series = self._metrics.get(point.metric)
        if series is None:
            series = self._metrics[point.metric] = _Series()
        return series.keep(point)

    def forget(self, metric: str) -> None:
        """Begin anew with `metric`."""
        self._metrics.pop(metric, None)

    def finish(self) -> Sequence[Measurement]:
        """The last points of each metric, in their order, as far as they were not passed on."""
        return [point for series in self._metrics.values() for point in series.left()]


class _Series:
    __slots__ = ("_greatest", "_highest", "_last", "_least", "_passed", "_stride", "_waited")

    def __init__(self) -> None:
        self._stride = 1
        self._waited = 0
        self._passed = 0
        self._least = float("inf")
        self._greatest = float("-inf")
        # Of what was not passed on: the last point, if none came after it, and the finite one of the highest step.
        self._last: Measurement | None = None
        self._highest: Measurement | None = None

    def keep(self, point: Measurement) -> bool:
        self._waited += 1
        finite = math.isfinite(point.value)
        record = finite and (point.value < self._least or point.value > self._greatest)
        outdone = finite and (self._highest is None or point.step >= self._highest.step)
        if not record and self._waited < self._stride:
            self._last = point
            if outdone:
                self._highest = point
            return False
        self._last = None
        if outdone:
            self._highest = None
        if finite:
            self._least, self._greatest = min(self._least, point.value), max(self._greatest, point.value)
        self._waited = 0
        self._passed += 1
        if self._passed % _DENSE == 0:
            self._stride *= 2
        return True

    def left(self) -> list[Measurement]:
        found = [point for point in (self._highest, self._last) if point is not None]
        return found[:1] if self._highest is self._last else found
