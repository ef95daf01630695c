"""Parameters as axes of charts: how they are scaled, what places their values have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning_service.analysis.numbers import Vector
from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import (
    FixedParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    ParamValue,
    identity,
)
from tuning_service.domain.space import Space

LINEAR, LOG, CATEGORICAL = "linear", "log", "categorical"


@dataclass(frozen=True)
class ChartAxis:
    """One parameter. `levels` are the values of a categorical axis in their order; such values are places among them.

    `ordered`: neighbours on a categorical axis are alike. `whole`: all values of a numeric one are whole numbers; with
    `powers`, powers of two.
    """

    name: str
    kind: str
    low: float
    high: float
    levels: tuple[ParamValue, ...] = ()
    ordered: bool = True
    whole: bool = False
    powers: bool = False

    @classmethod
    def of(cls, parameter: Parameter) -> "ChartAxis":
        """The axis of `parameter`."""
        if isinstance(parameter, (FloatParameter, IntParameter)):
            kind = LINEAR if parameter.scale == "linear" else LOG
            return cls(
                name=parameter.name,
                kind=kind,
                low=float(parameter.min),
                high=float(parameter.max),
                whole=isinstance(parameter, IntParameter),
                powers=parameter.scale == "pow2",
            )
        levels = parameter.values
        ordered = isinstance(parameter, OrdinalParameter)
        high = float(len(levels) - 1)
        return cls(name=parameter.name, kind=CATEGORICAL, low=0.0, high=high, levels=levels, ordered=ordered)

    def places(self, params: Sequence[Mapping[str, ParamValue]]) -> Vector:
        """(n,) the values as numbers; NaN where the parameter is inactive."""
        if self.kind != CATEGORICAL:
            return np.array([float(p.get(self.name, np.nan)) for p in params], dtype=float)
        index = {identity(level): float(place) for place, level in enumerate(self.levels)}
        return np.array(
            [index.get(identity(p[self.name]), np.nan) if self.name in p else np.nan for p in params], dtype=float
        )

    def unit(self, places: Vector) -> Vector:
        """From 0 to 1 along the axis: by the logarithm on a log one; NaN stays."""
        low, high = self.low, self.high
        if self.kind == LOG:
            low, high, places = np.log(low), np.log(high), np.log(places)
        # Halved, because the widest ranges overflow.
        width = high / 2 - low / 2
        if width <= 0:
            return np.asarray(np.where(np.isnan(places), np.nan, 0.5))
        return np.asarray((places / 2 - low / 2) / width)

    def at(self, units: Vector) -> Vector:
        """Values at places from 0 to 1."""
        if self.kind == LOG:
            return np.asarray(np.exp(np.log(self.low) * (1 - units) + np.log(self.high) * units))
        return self.low * (1 - units) + self.high * units

    def described(self) -> dict[str, Any]:
        """As it stands in answers."""
        shown: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind == CATEGORICAL:
            return shown | {"levels": list(self.levels)}
        shown |= {"low": self.low, "high": self.high}
        # Where marks along the axis belong.
        return shown | ({"marks": "powers of 2"} if self.powers else {"marks": "whole"} if self.whole else {})


def axes_of(space: Space) -> list[ChartAxis]:
    """Of all parameters that can differ."""
    return [ChartAxis.of(p) for p in space if not isinstance(p, FixedParameter) and p.size != 1]


def axis_named(space: Space, name: str, field: str) -> ChartAxis:
    """The axis of the parameter of that name.

    Raises:
        InvalidRequest: about `field`: there is none.
    """
    for parameter in space:
        if parameter.name == name:
            return ChartAxis.of(parameter)
    names = ", ".join(p.name for p in space)
    message = f"{name!r} is no parameter of this job."
    raise InvalidRequest(FieldProblem(field=field, message=message, remedy=f"Use one of: {names}."))
