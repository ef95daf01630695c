"""The one way between a search space and the unit cube.

Every algorithm goes through it, so that scales, integer steps, categories and conditions mean the same to all.
"""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Params,
    ParamValue,
    identity,
)
from tuning_service.domain.space import Space

Vector = NDArray[np.float64]

# Rejected draws after which a walk from a place that is allowed takes over, and that walk's steps.
_DRAWS = 50
_WALK_STEPS = 60
# Effort after which constraints count as infeasible.
_SEARCH_DRAWS = 2000
_SEARCH_STEPS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One parameter as a coordinate from 0 to 1.

    `size` is the number of different values, None for a continuum. Discrete values own equal shares of [0, 1] on a
    linear or pow2 scale, so that the end values are as likely as the others; each maps to the middle of its share.
    """

    parameter: Parameter
    size: int | None
    to_unit: Callable[[ParamValue], float]
    from_unit: Callable[[float], ParamValue]
    value_at: Callable[[int], ParamValue] | None = None  # the values in order, for 0 <= index < size

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def is_category(self) -> bool:
        """True when neighbouring coordinates say nothing about each other."""
        return isinstance(self.parameter, (CategoricalParameter, BoolParameter))

    def values(self) -> Iterator[ParamValue]:
        """All values in order, of a discrete axis."""
        if self.size is None or self.value_at is None:
            raise ValueError(f"{self.name} has too many values to list")
        return map(self.value_at, range(self.size))

    def identity(self, value: ParamValue) -> Hashable:
        """Equal for values that are the same to the user."""
        return identity(value)


def _clamp(unit: float) -> float:
    # Written so that NaN, the coordinate of an inactive parameter, becomes the middle.
    if math.isnan(unit):
        return 0.5
    return min(1.0, max(0.0, unit))


def _steps(parameter: Parameter) -> Axis:
    """Of a parameter whose values have places: each owns an equal share."""
    size = parameter.size or 1
    places = {identity(v): i for i, v in enumerate(parameter.choices or ())}

    def index_of(value: ParamValue) -> int:
        found = places.get(identity(value))
        return parameter.index_of(value) if found is None else found  # type: ignore[arg-type]

    return Axis(
        parameter=parameter,
        size=size,
        to_unit=lambda value: (index_of(value) + 0.5) / size,
        from_unit=lambda unit: parameter.value_at(min(size - 1, int(_clamp(unit) * size))),
        value_at=parameter.value_at,
    )


def _float_axis(parameter: FloatParameter) -> Axis:
    low, high = float(parameter.min), float(parameter.max)
    if parameter.size is not None:
        return _steps(parameter)
    is_log = parameter.scale == "log"
    start, end = (math.log(low), math.log(high)) if is_log else (low, high)

    def to_unit(value: ParamValue) -> float:
        place = math.log(float(value)) if is_log else float(value)
        # Halved, because end - start overflows for the widest ranges.
        return _clamp((place / 2 - start / 2) / (end / 2 - start / 2))

    def from_unit(unit: float) -> float:
        unit = _clamp(unit)
        if unit in {0.0, 1.0}:  # the bounds exactly as written, not as rounded
            return high if unit else low
        place = start * (1 - unit) + end * unit
        return min(high, max(low, math.exp(place) if is_log else place))

    return Axis(parameter=parameter, size=None, to_unit=to_unit, from_unit=from_unit)


def _log_int_axis(parameter: IntParameter) -> Axis:
    low, high = parameter.min, parameter.max
    start, end = math.log(low - 0.5), math.log(high + 0.5)

    def from_unit(unit: float) -> int:
        unit = _clamp(unit)
        return min(high, max(low, round(math.exp(start * (1 - unit) + end * unit))))

    return Axis(
        parameter=parameter,
        size=high - low + 1,
        to_unit=lambda value: (math.log(int(value)) - start) / (end - start),
        from_unit=from_unit,
        value_at=lambda index: low + index,
    )


def _axis(parameter: Parameter) -> Axis:
    if isinstance(parameter, FloatParameter):
        return _float_axis(parameter)
    if isinstance(parameter, IntParameter) and parameter.scale == "log":
        return _log_int_axis(parameter)
    return _steps(parameter)


class SpaceTransform:
    """Coordinates for the parameters of one space, in topological order: parents before children.

    `to_unit` and `from_unit` undo each other: exactly for discrete values (integer ranges up to 2**50), to rounding
    for floats.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = tuple(_axis(parameter) for parameter in space.topological)

    def to_unit(self, params: Params) -> Vector:
        """Coordinates of a valid configuration, (d,); NaN where a parameter is inactive."""
        return np.array([a.to_unit(params[a.name]) if a.name in params else np.nan for a in self.axes])

    def from_unit(self, vector: Vector) -> dict[str, ParamValue]:
        """The configuration at `vector` (d,): valid whatever stands there, active parameters only, Python scalars."""
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
        for _ in range(_DRAWS if self.space.constraints else 1):
            params = self.from_unit(rng.random(len(self.axes)))
            if self.space.allows(params):
                return params
        return self.from_unit(self._walk(self._anchor, rng))

    def feasible(self, units: Vector) -> NDArray[np.bool_]:
        """For each row of `units` (n, d): do the space's constraints allow what stands there?"""
        if not self.space.constraints:
            return np.ones(len(units), dtype=bool)
        return np.array([self.space.allows(self.from_unit(unit)) for unit in units], dtype=bool)

    @cached_property
    def _anchor(self) -> Vector:
        """Some place that the constraints allow: the least violated of many draws, moved towards less violation."""
        rng = np.random.default_rng(0)
        units = rng.random((_SEARCH_DRAWS, len(self.axes)))
        violations = [self._violation(unit) for unit in units]
        place = int(np.argmin(violations))
        unit: Vector = units[place]
        violation = violations[place]
        width = 0.5
        for i in range(_SEARCH_STEPS):
            if violation == 0:
                return unit
            mask = rng.random(len(unit)) < max(0.3, 1 / len(unit))
            trial = np.clip(unit + mask * rng.normal(size=len(unit)) * width, 0, 1)
            found = self._violation(trial)
            if found <= violation:
                unit, violation = trial, found
            if i % 50 == 49:
                width = max(0.01, width * 0.8)
        if violation == 0:
            return unit
        params = self.from_unit(unit)
        failing = [i for i, c in enumerate(self.space.constraints) if not c.holds(params)]
        raise InvalidRequest(
            *(
                FieldProblem(
                    field=f"constraints.{i}",
                    message=f"no configuration was found for which {self.space.constraints[i].text!r} holds"
                    + (" together with the others." if len(self.space.constraints) > 1 else "."),
                    remedy="Loosen it, or widen the parameters' ranges.",
                )
                for i in failing
            )
        )

    def _violation(self, unit: Vector) -> float:
        params = self.from_unit(unit)
        return sum(c.violation(params) for c in self.space.constraints)

    def _walk(self, start: Vector, rng: np.random.Generator) -> Vector:
        """Where a random walk ends that started at `start` and never left what the constraints allow."""
        unit = start
        for i in range(_WALK_STEPS):
            step = rng.normal(size=len(unit)) * 0.5 ** (1 + i % 6)
            trial = unit + step
            trial = np.abs(trial) % 2  # reflected at the faces of the cube
            trial = np.where(trial > 1, 2 - trial, trial)
            if self.space.allows(self.from_unit(trial)):
                unit = trial
        return unit

    def key(self, params: Params) -> Hashable:
        """Equal for configurations that are the same."""
        return tuple(a.identity(params[a.name]) if a.name in params else None for a in self.axes)

    def enumerate(self) -> Iterator[dict[str, ParamValue]]:
        """Each configuration once, lazily, in the order of the parameters' values. Nothing for an infinite space."""
        if self._is_finite:
            yield from self._enumerate(0, {})

    def _enumerate(self, place: int, params: dict[str, ParamValue]) -> Iterator[dict[str, ParamValue]]:
        if place == len(self.axes):
            if self.space.allows(params):
                yield dict(params)
            return
        axis = self.axes[place]
        if not self.space.is_active(axis.parameter, params):
            yield from self._enumerate(place + 1, params)
            return
        for value in axis.values():
            params[axis.name] = value
            yield from self._enumerate(place + 1, params)
        del params[axis.name]

    @cached_property
    def _is_finite(self) -> bool:
        # Cautious: a float under a condition that never holds counts as infinite too.
        return all(axis.size is not None for axis in self.axes)
