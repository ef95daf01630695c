"""Where in the cube is a function highest? A search without derivatives, so that steps, categories, conditions and
constraints are nothing special: every candidate is a point that the space can take.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tuning_service.search.gp.cube import Cube, Mask, Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How many candidates are looked at.

    With half as many rounds, the logarithm of the expected improvement that is found falls short of that
    of an exhaustive search by 1.2 on average, with these by 0.4.
    """

    scattered: int = 500
    around: int = 50  # of each good known point
    rounds: int = 12
    parents: int = 8
    children: int = 30  # of each parent

    def scaled(self, share: float) -> "Effort":
        """Less of the same, for when each candidate is dear."""
        return Effort(
            scattered=max(50, int(self.scattered * share)),
            around=max(10, int(self.around * share)),
            rounds=max(3, int(self.rounds * share)),
            parents=max(3, int(self.parents * share)),
            children=max(10, int(self.children * share)),
        )


class CandidateSearch:
    """Random points and variations of good ones; then rounds of smaller variations of the best so far."""

    def __init__(self, cube: Cube, allowed: Callable[[Matrix], Mask], effort: Effort) -> None:
        """`allowed(points)` says which meet the space's constraints; it may be slow, and is asked little."""
        self._cube, self._allowed, self._effort = cube, allowed, effort

    def best(
        self, value: Callable[[Matrix], Matrix], good: Matrix, taken: Matrix, rng: np.random.Generator
    ) -> Matrix | None:
        """A point (d,) with a high `value`, which is none of `taken`; None when there is none.

        `good` (k, d) are known points in whose neighbourhood it may be; `value` takes points (n, d).
        """
        effort, width = self._effort, len(self._cube.axes)
        scattered = self._cube.snap(rng.random((effort.scattered, width)))
        points = np.vstack([scattered, self._varied(good, effort.around, 0.4, rng)])
        values = value(points)
        reach = 0.3
        for _ in range(effort.rounds):
            places = self._first_allowed(points, values, effort.parents)
            if not places:
                return None
            parents, kept = points[places], values[places]
            children = self._varied(parents, effort.children, reach, rng)
            points, values = np.vstack([parents, children]), np.concatenate([kept, value(children)])
            reach *= 0.6
        return self._first_new(points, values, taken)

    def _first_allowed(self, points: Matrix, values: Matrix, count: int) -> list[int]:
        order = np.argsort(-values, kind="stable")
        places: list[int] = []
        for start in range(0, len(order), 2 * count):
            some = order[start : start + 2 * count]
            places += some[self._allowed(points[some])].tolist()
            if len(places) >= count:
                break
        return places[:count]

    def _first_new(self, points: Matrix, values: Matrix, taken: Matrix) -> Matrix | None:
        known = np.nan_to_num(taken, nan=-1.0)
        for place in np.argsort(-values, kind="stable"):
            distances = np.abs(known - np.nan_to_num(points[place], nan=-1.0)).max(axis=1, initial=0.0)
            if (distances > 1e-9).all() and self._allowed(points[place][None])[0]:
                return np.asarray(points[place])
        return None

    def _varied(self, points: Matrix, count: int, reach: float, rng: np.random.Generator) -> Matrix:
        """`count` variations of each point: in one, some or most parameters, by up to about `reach`."""
        cube = self._cube
        repeated = np.repeat(points, count, axis=0)
        rows, width = repeated.shape
        moved = rng.random((rows, width)) < rng.choice([1.5 / width, 0.3, 0.8], size=(rows, 1))
        if cube.searched:
            moved[np.arange(rows), rng.choice(cube.searched, rows)] = True
        # A deviation below the grid's step would change nothing.
        deviation = np.maximum(reach * 10.0 ** rng.uniform(-1.0, 0.0, (rows, 1)), 0.7 * cube.steps)
        filled = np.nan_to_num(repeated, nan=0.5)
        steps = _reflected(filled + rng.normal(size=(rows, width)) * deviation, rng)
        fresh = rng.random((rows, width))
        steps = np.where(cube.categories, np.where(rng.random((rows, width)) < 0.5, fresh, filled), steps)
        inactive = np.isnan(repeated)  # a parent's change may wake them up, anywhere
        return cube.snap(np.where(inactive, fresh, np.where(moved, steps, filled)))


def _reflected(units: Matrix, rng: np.random.Generator) -> Matrix:
    """Back into the cube: half of what left it to the face that it went through, the rest mirrored there."""
    at_face = rng.random(units.shape) < 0.5
    inside = np.where(at_face, np.clip(units, 0.0, 1.0), np.abs(units))
    return np.clip(np.where(inside > 1.0, 2.0 - inside, inside), 0.0, 1.0)
