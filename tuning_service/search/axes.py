"""One parameter as a coordinate of the unit cube."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.parameters import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    ParamValue,
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
    shares: Sequence[ParamValue] | None = None  # the values, when each owns an equal share and they are not too many
    snapped: Callable[[Vector], Vector] | None = None  # of coordinates, (n,): those of the values that own them

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
        shares=parameter.choices,
        snapped=lambda units: (np.minimum(size - 1, np.floor(units * size)) + 0.5) / size,
    )


def _float_axis(parameter: FloatParameter) -> Axis:
    low, high = float(parameter.min), float(parameter.max)
    if parameter.size is not None:
        return _steps(parameter)
    is_log = parameter.scale == "log"
    start, end = (math.log(low), math.log(high)) if is_log else (low, high)
    width = end / 2 - start / 2  # halved, because end - start overflows for the widest ranges

    def to_unit(value: ParamValue) -> float:
        place = math.log(float(value)) if is_log else float(value)
        # The narrowest ranges have no width to their doubles.
        return _clamp((place / 2 - start / 2) / width) if width else 0.5

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
    if end == start:  # so far up that logarithms do not tell the bounds apart
        return _steps(parameter)

    def from_unit(unit: float) -> int:
        unit = _clamp(unit)
        return min(high, max(low, round(math.exp(start * (1 - unit) + end * unit))))

    def snapped(units: Vector) -> Vector:
        values = np.clip(np.rint(np.exp(start * (1 - units) + end * units)), low, high)
        return np.asarray((np.log(values) - start) / (end - start))

    return Axis(
        parameter=parameter,
        size=high - low + 1,
        to_unit=lambda value: (math.log(int(value)) - start) / (end - start),
        from_unit=from_unit,
        value_at=lambda index: low + index,
        snapped=snapped,
    )


def axis_of(parameter: Parameter) -> Axis:
    """The coordinate of `parameter`."""
    if isinstance(parameter, FloatParameter):
        return _float_axis(parameter)
    if isinstance(parameter, IntParameter) and parameter.scale == "log":
        return _log_int_axis(parameter)
    return _steps(parameter)
