"""Fewer points of a metric that is printed all the time, without losing the ones that matter."""

from collections.abc import Sequence

from tuning_service.domain.trial import Measurement

_DENSE = 1000  # points of one metric before every second, then every fourth … is dropped


class Thinner:
    """Passes on the first thousand points of each metric; after each thousand, half as many of what follows.

    A new least or greatest value always passes, and so does the last one, at the end: whichever way an objective is
    summarised, its value is what it would be without thinning.
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
        """The last point of each metric that was not passed on."""
        return [series.dropped for series in self._metrics.values() if series.dropped is not None]


class _Series:
    __slots__ = ("_greatest", "_least", "_passed", "_stride", "_waited", "dropped")

    def __init__(self) -> None:
        self._stride = 1
        self._waited = 0
        self._passed = 0
        self._least = float("inf")
        self._greatest = float("-inf")
        self.dropped: Measurement | None = None

    def keep(self, point: Measurement) -> bool:
        self._waited += 1
        record = point.value < self._least or point.value > self._greatest
        if not record and self._waited < self._stride:
            self.dropped = point
            return False
        self._least, self._greatest = min(self._least, point.value), max(self._greatest, point.value)
        self._waited, self.dropped = 0, None
        self._passed += 1
        if self._passed % _DENSE == 0:
            self._stride *= 2
        return True
