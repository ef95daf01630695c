"""The one way between a search space and the unit cube.

Every algorithm goes through it, so that scales, steps, categories, conditions and constraints mean the same to all.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.expressions import Expression
from tuning_service.domain.parameters import Params, ParamValue
from tuning_service.domain.space import Space
from tuning_service.search.axes import Axis, Vector, axis_of
from tuning_service.search.region import Region

__all__ = ["Axis", "SpaceTransform", "Vector"]

# Places that are looked at before a list of what constraints allow ends, whatever may be left: some seconds.
_MOST_VISITS = 100_000
_SOME_VISITS = 20_000


class SpaceTransform:
    """Coordinates for the parameters of one space, in topological order: parents before children.

    `to_unit` and `from_unit` undo each other: exactly for discrete values (integer ranges up to 2**50), to rounding
    for floats.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = tuple(axis_of(parameter) for parameter in space.topological)
        # Configurations that the constraints allow, for where draws find none. To be set before the first draw.
        self.known: Sequence[Params] = ()

    @cached_property
    def searched(self) -> list[int]:
        """Places of the axes that have more than one value."""
        return [i for i, axis in enumerate(self.axes) if axis.size != 1]

    def to_unit(self, params: Params) -> Vector:
        """Coordinates of a valid configuration, (d,); NaN where a parameter is inactive."""
        return np.array([a.to_unit(params[a.name]) if a.name in params else np.nan for a in self.axes])

    def from_unit(self, vector: Vector) -> dict[str, ParamValue]:
        """The configuration at `vector` (d,): valid whatever stands there, active parameters only, Python scalars.

        Constraints are not looked at: see `feasible`.
        """
        params: dict[str, ParamValue] = {}
        for axis, unit in zip(self.axes, vector, strict=True):
            if self.space.is_active(axis.parameter, params):
                params[axis.name] = axis.from_unit(float(unit))
        return params

    def sample(self, rng: np.random.Generator) -> dict[str, ParamValue]:
        """A draw as a configuration: uniform in the part of the cube that the space's constraints allow, or nearly so
        where that part is small.

        Raises:
            InvalidRequest: no configuration was found that the constraints allow.
        """
        if not self.space.constraints:
            return self.from_unit(rng.random(len(self.axes)))
        return self.from_unit(self._region.draw(rng))

    def feasible(self, units: Vector) -> NDArray[np.bool_]:
        """For each row of `units` (n, d): do the space's constraints allow what stands there?"""
        return self._region.contains(units)

    def check_feasible(self) -> None:
        """Return quietly when there are configurations that the space's constraints allow. Takes up to a second.

        Raises:
            InvalidRequest: none was found; names the constraints that fail.
        """
        if self.space.constraints:
            _ = self._region.anchors

    @cached_property
    def _region(self) -> Region:
        return Region(
            self.space,
            self.axes,
            to_unit=self.to_unit,
            from_unit=self.from_unit,
            enumerate_some=lambda: chain(self.known, self._listed(_SOME_VISITS)),
        )

    def key(self, params: Params) -> Hashable:
        """Equal for configurations that are the same."""
        return tuple(a.identity(params[a.name]) if a.name in params else None for a in self.axes)

    def enumerate(self) -> Iterator[dict[str, ParamValue]]:
        """Each configuration once, lazily, in the order of the parameters' values. Nothing for an infinite space.

        Where constraints allow next to nothing of a vast space, the list ends when much effort has found no more.
        """
        return self._listed(_MOST_VISITS)

    def product(self, values: Sequence[Callable[[], Iterable[ParamValue]]]) -> Iterator[dict[str, ParamValue]]:
        """Each configuration once, lazily, that takes the value of each axis from those that its entry makes.

        The first axis varies slowest. Values of an inactive parameter make no difference. Ends as `enumerate` does.
        """
        return self._enumerate(0, {}, [_MOST_VISITS], values)

    def _listed(self, visits: int) -> Iterator[dict[str, ParamValue]]:
        if self._is_finite:
            yield from self._enumerate(0, {}, [visits], [axis.values for axis in self.axes])

    def _enumerate(
        self,
        place: int,
        params: dict[str, ParamValue],
        visits: list[int],
        values: Sequence[Callable[[], Iterable[ParamValue]]],
    ) -> Iterator[dict[str, ParamValue]]:
        """`visits` counts down to the end of the effort, from one yield to the next."""
        if place == len(self.axes):
            yield dict(params)
            visits[0] = max(visits[0], _SOME_VISITS)
            return
        axis = self.axes[place]
        if not self.space.is_active(axis.parameter, params):
            yield from self._enumerate(place + 1, params, visits, values)
            return
        for value in values[place]():
            params[axis.name] = value
            visits[0] -= bool(self.space.constraints)
            if visits[0] < 0:
                return
            # As soon as all that it mentions has a value, so that a whole branch is left out at once.
            if all(constraint.holds(params) for constraint in self._decided_at[place]):
                yield from self._enumerate(place + 1, params, visits, values)
        params.pop(axis.name, None)

    @cached_property
    def _decided_at(self) -> list[list[Expression]]:
        """The constraints whose last parameter stands at each place."""
        places = {axis.name: i for i, axis in enumerate(self.axes)}
        decided: list[list[Expression]] = [[] for _ in self.axes]
        for constraint in self.space.constraints:
            decided[max(places[name] for name in constraint.names)].append(constraint)
        return decided

    @cached_property
    def _is_finite(self) -> bool:
        # Cautious: a float under a condition that never holds counts as infinite too.
        return all(axis.size is not None for axis in self.axes)
