"""The one way between a search space and the unit cube.

Every algorithm goes through it, so that scales, integer steps, categories and conditions mean the same to all.
"""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Params,
    ParamValue,
    Space,
    identity,
)

Vector = NDArray[np.float64]


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
        return isinstance(self.parameter, CategoricalParameter)

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


def _steps(
    parameter: Parameter, size: int, index_of: Callable[[ParamValue], int], value_at: Callable[[int], ParamValue]
) -> Axis:
    return Axis(
        parameter=parameter,
        size=size,
        to_unit=lambda value: (index_of(value) + 0.5) / size,
        from_unit=lambda unit: value_at(min(size - 1, int(_clamp(unit) * size))),
        value_at=value_at,
    )


def _float_axis(parameter: FloatParameter) -> Axis:
    low, high = float(parameter.min), float(parameter.max)
    if low == high:
        return _steps(parameter, 1, lambda _: 0, lambda _: low)
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
    if isinstance(parameter, CategoricalParameter):
        values = parameter.values
        places = {identity(v): i for i, v in enumerate(values)}
        return _steps(parameter, len(values), lambda v: places[identity(v)], lambda i: values[i])
    if parameter.scale == "log":
        return _log_int_axis(parameter)
    if parameter.scale == "pow2":
        first = parameter.min.bit_length()
        size = parameter.max.bit_length() - first + 1
        return _steps(parameter, size, lambda v: int(v).bit_length() - first, lambda i: parameter.min << i)
    low = parameter.min
    return _steps(parameter, parameter.max - low + 1, lambda v: int(v) - low, lambda i: low + i)


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
        """A uniform draw from the cube as a configuration."""
        return self.from_unit(rng.random(len(self.axes)))

    def key(self, params: Params) -> Hashable:
        """Equal for configurations that are the same."""
        return tuple(a.identity(params[a.name]) if a.name in params else None for a in self.axes)

    def enumerate(self) -> Iterator[dict[str, ParamValue]]:
        """Each configuration once, lazily, in the order of the parameters' values. Nothing for an infinite space."""
        if self._is_finite:
            yield from self._enumerate(0, {})

    def _enumerate(self, place: int, params: dict[str, ParamValue]) -> Iterator[dict[str, ParamValue]]:
        if place == len(self.axes):
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
