"""The part of the unit cube that a space's constraints allow: whether there is any, and draws from it."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import Params, ParamValue
from tuning_service.domain.space import Space
from tuning_service.search.axes import Axis, Vector
from tuning_service.search.columns import Columns

# Draws of which one that is allowed is taken; when none is, a walk of so many steps begins at one known before.
_DRAWS = 50
_WALK_STEPS = 24
_SHRINKS = 40
# Effort after which constraints count as infeasible.
_SEARCH_DRAWS = 2000
_SEARCH_STEPS = 3000
_SEARCH_STARTS = 3
_MOST_ANCHORS = 64


class Region:
    """Deterministic: the same space has the same anchors, and the same generator draws the same."""

    def __init__(
        self,
        space: Space,
        axes: tuple[Axis, ...],
        *,
        to_unit: Callable[[Params], Vector],
        from_unit: Callable[[Vector], Mapping[str, ParamValue]],
        enumerate_some: Callable[[], Iterator[Params]],
    ) -> None:
        """`enumerate_some` lists allowed configurations that are known, and some of a finite space."""
        self._space, self._axes = space, axes
        self._to_unit, self._from_unit, self._enumerate_some = to_unit, from_unit, enumerate_some

    def contains(self, units: Vector) -> NDArray[np.bool_]:
        """For each row of `units` (n, d): do all constraints hold there?"""
        columns = Columns(self._axes, units)
        met = np.ones(len(units), dtype=bool)
        for constraint in self._space.constraints:
            met &= columns.holds(constraint)
        return met

    def draw(self, rng: np.random.Generator) -> Vector:
        """A place in the region: uniform, or nearly so where the region is small.

        Raises:
            InvalidRequest: no place was found that the constraints allow.
        """
        units = rng.random((_DRAWS, len(self._axes)))
        allowed = self.contains(units)
        return units[int(np.argmax(allowed))] if allowed.any() else self._walk(rng)

    @cached_property
    def anchors(self) -> Vector:
        """Some places that the constraints allow, (1 to 64, d).

        Raises:
            InvalidRequest: none was found; names the constraints that fail.
        """
        rng = np.random.default_rng(0)
        units = rng.random((_SEARCH_DRAWS, len(self._axes)))
        found = [*units[self.contains(units)][:_MOST_ANCHORS]]
        if not found:
            listed = [self._space.completed({}), *islice(self._enumerate_some(), _MOST_ANCHORS)]
            found = [unit for unit in map(self._place_of, listed) if self._allows(unit)]
        return np.array(found or [self._descend(units, rng)])

    def _place_of(self, params: Params) -> Vector:
        place: Vector = np.nan_to_num(self._to_unit(params), nan=0.5)
        return place

    def _allows(self, unit: Vector) -> bool:
        return self._space.allows(self._from_unit(unit))

    def _violation(self, unit: Vector) -> float:
        params = self._from_unit(unit)
        return sum(c.violation(params) for c in self._space.constraints)

    def _descend(self, units: Vector, rng: np.random.Generator) -> Vector:
        """Where random steps towards less violation lead from the best of `units`."""
        violations = [self._violation(unit) for unit in units]
        ends = []
        for start in np.argsort(violations, kind="stable")[:_SEARCH_STARTS]:
            unit: Vector = units[start]
            violation = violations[start]
            width = 0.5
            for i in range(_SEARCH_STEPS):
                mask = rng.random(len(unit)) < max(0.3, 1 / len(unit))
                trial = np.clip(unit + mask * rng.normal(size=len(unit)) * width, 0, 1)
                if (found := self._violation(trial)) <= violation:
                    unit, violation = trial, found
                if violation == 0:
                    return unit
                if i % 50 == 49:
                    width = max(1e-6, width * 0.75)
            ends.append((violation, unit))
        raise self._infeasible(min(ends, key=lambda end: end[0])[1])

    def _infeasible(self, nearest: Vector) -> InvalidRequest:
        params = self._from_unit(nearest)
        constraints = self._space.constraints
        together = " together with the others." if len(constraints) > 1 else "."
        return InvalidRequest(
            *(
                FieldProblem(
                    field=f"constraints.{i}",
                    message=f"no configuration was found for which {constraint.text!r} holds{together}",
                    remedy="Loosen it, or widen the parameters' ranges.",
                )
                for i, constraint in enumerate(constraints)
                if not constraint.holds(params)
            )
        )

    def _walk(self, rng: np.random.Generator) -> Vector:
        """Where a walk ends that began at an anchor: each step goes somewhere along a line without leaving the region.

        A step is drawn from the whole of its line in the cube, which is cut back towards where it began as long as the
        draw is not allowed; so thin parts are walked along, and from one part to another where a line meets both.
        """
        unit: Vector = self.anchors[int(rng.integers(len(self.anchors)))]
        for i in range(_WALK_STEPS):
            direction = rng.normal(size=len(unit))
            if i % 2:  # one parameter alone
                direction *= np.arange(len(unit)) == rng.integers(len(unit))
            moving = direction != 0
            ends = np.sort([-unit[moving] / direction[moving], (1 - unit[moving]) / direction[moving]], axis=0)
            low, high = float(ends[0].max()), float(ends[1].min())
            for _ in range(_SHRINKS):
                way = float(rng.uniform(low, high))
                trial = np.clip(unit + way * direction, 0, 1)
                if self._allows(trial):
                    unit = trial
                    break
                low, high = (way, high) if way < 0 else (low, way)
        return unit
