"""The search space: parameters, scales, conditions. Values are valid once built."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tuning_service.domain.errors import FieldProblem, InvalidRequest

ParamValue = bool | int | float | str
Params = Mapping[str, ParamValue]
Scale = Literal["linear", "log", "pow2"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# Far beyond any network's parameter, and exactly representable in a double and in SQL's bigint.
_LARGEST_INT = 2**53


def _problem(where: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))


def identity(value: object) -> tuple[bool, object]:
    """Equal for values that are one to a user: 1 and 1.0 are, 1 and true are not, though they are to Python."""
    return isinstance(value, bool), value


def _check_range(where: str, low: float, high: float, scale: Scale) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _problem(where, "min and max must be finite numbers.", "Write ordinary numbers.")
    if low > high:
        raise _problem(f"{where}.min", f"min {low} is greater than max {high}.", "Swap them.")
    if scale in {"log", "pow2"} and low <= 0:
        raise _problem(
            f"{where}.min",
            f"scale {scale} needs min above zero, not {low}.",
            "Raise min (1.0e-6, say), or use scale: linear.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The parameter is active only while the active `parent` has one of `values`."""

    parent: str
    values: tuple[ParamValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter:
    name: str
    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"
    when: tuple[Condition, ...] = ()  # all must hold

    def __post_init__(self) -> None:
        where = f"space.{self.name}"
        if self.scale not in {"linear", "log"}:
            raise _problem(f"{where}.scale", f"a float has no scale {self.scale!r}.", "Use linear or log.")
        _check_range(where, self.min, self.max, self.scale)

    def contains(self, value: object) -> bool:
        """True for a number within bounds."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.min <= value <= self.max

    @property
    def choices(self) -> tuple[float, ...] | None:
        """All values in order, or None when there are too many to list."""
        return (self.min,) if self.min == self.max else None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter:
    name: str
    min: int
    max: int
    scale: Scale = "linear"  # pow2: powers of two from min to max, both powers of two themselves
    when: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        where = f"space.{self.name}"
        if self.scale not in {"linear", "log", "pow2"}:
            raise _problem(f"{where}.scale", f"an int has no scale {self.scale!r}.", "Use linear, log or pow2.")
        _check_range(where, self.min, self.max, self.scale)
        if max(abs(self.min), abs(self.max)) > _LARGEST_INT:
            raise _problem(where, f"bounds beyond {_LARGEST_INT} are not supported.", "Narrow the range.")
        if self.scale == "pow2":
            for end in ("min", "max"):
                value = getattr(self, end)
                if value & (value - 1):
                    low = 1 << (value.bit_length() - 1)
                    raise _problem(f"{where}.{end}", f"{value} is no power of two.", f"Use {low} or {2 * low}.")

    def contains(self, value: object) -> bool:
        """True for an integer within bounds that the scale can produce."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.min <= value <= self.max:
            return False
        return self.scale != "pow2" or value & (value - 1) == 0

    @property
    def choices(self) -> tuple[int, ...] | None:
        """All values in order, or None when there are too many to list."""
        if self.scale == "pow2":
            return tuple(1 << e for e in range(self.min.bit_length() - 1, self.max.bit_length()))
        return tuple(range(self.min, self.max + 1)) if self.max - self.min < 1000 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter:
    name: str
    values: tuple[ParamValue, ...]
    when: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        where = f"space.{self.name}.values"
        if not self.values:
            raise _problem(where, "there are no values to choose from.", "List at least one.")
        if len({identity(v) for v in self.values}) < len(self.values):
            raise _problem(where, "a value is listed twice.", "List each once.")
        for value in self.values:
            if isinstance(value, float) and not math.isfinite(value):
                raise _problem(where, f"{value} is not a finite number.", "Remove it.")

    def contains(self, value: object) -> bool:
        """True for one of the values."""
        return any(identity(v) == identity(value) for v in self.values)

    @property
    def choices(self) -> tuple[ParamValue, ...] | None:
        """All values in the order written."""
        return self.values


Parameter = FloatParameter | IntParameter | CategoricalParameter
_TYPES: dict[str, type[Parameter]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "categorical": CategoricalParameter,
}
_TYPE_NAMES = {cls: name for name, cls in _TYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is searched. Parameters keep the order written; `topological` has parents before children."""

    parameters: tuple[Parameter, ...]
    topological: tuple[Parameter, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.parameters:
            raise _problem("space", "the space is empty.", "Name at least one parameter to search.")
        self._check_names()
        object.__setattr__(self, "topological", self._sorted())

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        for parameter in self.parameters:
            where = f"space.{parameter.name}"
            if not _NAME.fullmatch(parameter.name):
                raise _problem(
                    where,
                    f"{parameter.name!r} cannot be a parameter's name.",
                    "Use a letter, then up to 63 letters, digits or underscores.",
                )
            # The program sees TUNING_PARAM_<NAME> in capitals, so names that differ in case only would clash.
            other = seen.setdefault(parameter.name.upper(), parameter.name)
            if other != parameter.name:
                raise _problem(where, f"differs from {other!r} in case only.", "Rename one of them.")

    def _sorted(self) -> tuple[Parameter, ...]:
        by_name = {p.name: p for p in self.parameters}
        done: dict[str, Parameter] = {}
        for parameter in self.parameters:
            for condition in parameter.when:
                where = f"space.{parameter.name}.when.{condition.parent}"
                parent = by_name.get(condition.parent)
                if parent is None:
                    raise _problem(
                        where,
                        f"there is no parameter {condition.parent!r}.",
                        f"Use one of {sorted(by_name)}.",
                    )
                if not condition.values:
                    raise _problem(where, "the list of values is empty.", "Name at least one value.")
                for value in condition.values:
                    if not parent.contains(value):
                        raise _problem(where, f"{condition.parent} never is {value!r}.", "Use values that it can take.")
        rest = list(self.parameters)
        while rest:
            ready = [p for p in rest if all(c.parent in done for c in p.when)]
            if not ready:
                names = ", ".join(p.name for p in rest)
                raise _problem(
                    f"space.{rest[0].name}.when",
                    f"the conditions of {names} form a cycle.",
                    "A parameter cannot depend on itself, directly or through others.",
                )
            done.update((p.name, p) for p in ready)
            rest = [p for p in rest if p.name not in done]
        return tuple(done.values())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def is_active(self, parameter: Parameter, params: Params) -> bool:
        """True when all conditions hold in `params`, where an inactive parent is simply absent."""
        return all(
            c.parent in params and any(identity(value) == identity(params[c.parent]) for value in c.values)
            for c in parameter.when
        )

    def active_part(self, params: Params) -> dict[str, ParamValue]:
        """`params` in topological order, without parameters that are inactive under their parents' values.

        Raises:
            KeyError: an active parameter has no value.
        """
        kept: dict[str, ParamValue] = {}
        for parameter in self.topological:
            if self.is_active(parameter, kept):
                kept[parameter.name] = params[parameter.name]
        return kept

    def check(self, params: Params) -> None:
        """Return quietly when `params` holds a valid value for each active parameter and nothing else.

        Raises:
            InvalidRequest: naming each parameter that is missing, unknown, inactive or out of range.
        """
        problems = []
        for parameter in self.topological:
            where = f"params.{parameter.name}"
            active = self.is_active(parameter, params)
            if active and parameter.name not in params:
                problems.append(FieldProblem(field=where, message="is missing.", remedy="Give it a value."))
            elif not active and parameter.name in params:
                problems.append(FieldProblem(field=where, message="is not active here.", remedy="Leave it out."))
            elif active and not parameter.contains(params[parameter.name]):
                problems.append(
                    FieldProblem(
                        field=where,
                        message=f"{params[parameter.name]!r} is outside the space.",
                        remedy="Use a value that the space allows.",
                    )
                )
        known = {p.name for p in self.parameters}
        problems += [
            FieldProblem(field=f"params.{name}", message="is not in the space.", remedy="Remove it.")
            for name in params
            if name not in known
        ]
        if problems:
            raise InvalidRequest(*problems)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The space as it stands in a job file; `from_dict` reads it back equal."""
        return {p.name: _parameter_to_dict(p) for p in self.parameters}

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]]) -> "Space":
        """The space that `to_dict` wrote. For data of ours; a user's goes through the job-file schema first.

        Raises:
            InvalidRequest: the values make no valid space.
        """
        return cls(parameters=tuple(parameter_from_dict(name, item) for name, item in data.items()))


def parameter_from_dict(name: str, data: Mapping[str, Any]) -> Parameter:
    """One parameter from its entry in a job file, whose shape has been checked.

    Raises:
        InvalidRequest: min > max, log over zero and the like.
    """
    values = dict(data)
    cls = _TYPES[values.pop("type")]
    when = tuple(
        Condition(parent=parent, values=tuple(allowed)) for parent, allowed in (values.pop("when", None) or {}).items()
    )
    if "values" in values:
        values["values"] = tuple(values["values"])
    return cls(name=name, when=when, **values)


def _parameter_to_dict(parameter: Parameter) -> dict[str, Any]:
    data: dict[str, Any] = {"type": _TYPE_NAMES[type(parameter)]}
    if isinstance(parameter, CategoricalParameter):
        data["values"] = list(parameter.values)
    else:
        data |= {"min": parameter.min, "max": parameter.max, "scale": parameter.scale}
    if parameter.when:
        data["when"] = {c.parent: list(c.values) for c in parameter.when}
    return data
