"""Several sources of one training's metrics, merged: of each metric, the points of one source count."""

from collections.abc import Callable, Collection
from typing import NamedTuple

_MOST_NAMES = 1000


class Point(NamedTuple):
    """A value as a source gives it. `wall` is its time in seconds since 1970, where the source tells."""

    step: int
    metric: str
    value: float
    wall: float | None = None
    likeness: int = 0  # how far the name in the source is from the metric's: 0 the same


class Rank(NamedTuple):
    """The place of a series of points among all that give the same metric; the least one counts."""

    source: int  # in the order of the plan
    likeness: int = 0
    path: str = ""


class Merger:
    """Passes on the points that count.

    A metric belongs to the series of the least rank that ever gave it. When a better one turns up, what was passed on
    of the former is withdrawn: so the end is the same, however the sources' times fell.
    """

    def __init__(
        self, wanted: Collection[str], measure: Callable[[Point], None], withdraw: Callable[[str], None]
    ) -> None:
        """`measure` is told each point that counts, `withdraw` each metric whose points so far do not any more."""
        self._wanted = frozenset(wanted)
        self._measure = measure
        self._withdraw = withdraw
        self._owners: dict[str, Rank] = {}

    def take(self, rank: Rank, point: Point) -> None:
        """Take note of a point of a source."""
        owner = self._owners.get(point.metric)
        if owner != rank:
            if owner is None:
                if len(self._owners) >= _MOST_NAMES and point.metric not in self._wanted:
                    return
            elif owner < rank:
                return
            else:
                self._withdraw(point.metric)
            self._owners[point.metric] = rank
        self._measure(point)

    def owner(self, metric: str) -> Rank | None:
        """Which series a metric's points are taken from."""
        return self._owners.get(metric)
