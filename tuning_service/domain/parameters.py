"""What one parameter of a search space can be. Values are valid once built."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.texts import is_storable

ParamValue = bool | int | float | str
Params = Mapping[str, ParamValue]
Scale = Literal["linear", "log", "pow2"]

# Far beyond any network's parameter, and exactly representable in a double and in SQL's bigint.
_LARGEST_INT = 2**53
_LONGEST_TEXT = 10_000  # the system takes 128 KiB in one argument
# Values of one parameter that are worth listing.
MOST_LISTED = 1000
# Steps of a float that can be told apart as parts of a range.
_MOST_STEPS = 2**40


def problem(where: str, message: str, remedy: str) -> InvalidRequest:
    """An error about one field."""
    return InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))


def identity(value: object) -> tuple[bool, object]:
    """Equal for values that are one to a user: 1 and 1.0 are, 1 and true are not, though they are to Python."""
    return isinstance(value, bool), value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_range(where: str, low: float, high: float, scale: Scale, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise problem(where, "min and max must be finite numbers.", "Write ordinary numbers.")
    if low > high:
        raise problem(f"{where}.min", f"min {low} is greater than max {high}.", "Swap them.")
    if scale in {"log", "pow2"} and low <= 0:
        raise problem(
            f"{where}.min",
            f"scale {scale} needs min above zero, not {low}.",
            f"Raise min ({1 if isinstance(low, int) else '1.0e-6'}, say), or use scale: linear.",
        )
    if step is None:
        return
    if scale != "linear":
        raise problem(f"{where}.step", f"scale {scale} has no step.", "Remove step, or use scale: linear.")
    if not (math.isfinite(step) and step > 0):
        raise problem(f"{where}.step", f"must be above zero, not {step}.", "Raise it, or leave it out.")
    if low < high and step / 2 > high / 2 - low / 2:  # halved, because the widest ranges overflow
        raise problem(f"{where}.step", f"{step} is wider than the range.", f"Use {high - low} at most.")
    finest = (
        0 if isinstance(step, int) else max(2 * (high / 2 / _MOST_STEPS - low / 2 / _MOST_STEPS), _grain(low, high))
    )
    if step < finest:
        raise problem(
            f"{where}.step", f"{step} is too fine for the range.", f"Use {finest:.3g} or more, or leave it out."
        )


def _grain(low: float, high: float) -> float:
    """Differences at `low` and `high` that doubles still tell apart."""
    return 4 * math.ulp(max(abs(low), abs(high)))


def _settle_default(parameter: "Parameter") -> None:
    """Check it, and make it the value that an algorithm would propose: 0.3 for 0.1 + 0.2."""
    default = parameter.default
    if default is None:
        return
    if not parameter.contains(default):
        raise problem(
            f"space.{parameter.name}.default",
            f"{default!r} is no value of this parameter.",
            "Use a value that it can take, or leave it out.",
        )
    object.__setattr__(parameter, "default", parameter.canonical(default))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The parameter is active only while the active `parent` has one of `values`."""

    parent: str
    values: tuple[ParamValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter:
    """With a `step` its values are min, min + step, … up to max, as their decimal digits say."""

    name: str
    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"
    step: float | None = None
    default: float | None = None
    when: tuple[Condition, ...] = ()  # all must hold

    def __post_init__(self) -> None:
        where = f"space.{self.name}"
        if self.scale not in {"linear", "log"}:
            raise problem(f"{where}.scale", f"a float has no scale {self.scale!r}.", "Use linear or log.")
        _check_range(where, self.min, self.max, self.scale, self.step)
        _settle_default(self)

    @property
    def size(self) -> int | None:
        """How many different values there are; None for a continuum."""
        if self.min == self.max:
            return 1
        if self.step is None:
            return None
        return int((Decimal(repr(self.max)) - Decimal(repr(self.min))) / Decimal(repr(self.step))) + 1

    def value_at(self, index: int) -> float:
        """Value number `index` of those with a step: 0.1 + 2 * 0.1 is 0.3."""
        return min(self.max, float(Decimal(repr(self.min)) + index * Decimal(repr(self.step or 0.0))))

    def index_of(self, value: float) -> int:
        """Place of the value nearest to `value` among those with a step."""
        if self.step is None:
            return 0
        # Halved, because the widest ranges overflow.
        return min(round((value / 2 - self.min / 2) / (self.step / 2)), (self.size or 1) - 1)

    def contains(self, value: object) -> bool:
        """True for a number within bounds, on the grid of the steps to rounding."""
        if not _is_number(value) or not self.min <= value <= self.max:  # type: ignore[operator]
            return False
        if self.step is None:
            return True
        off = abs(self.value_at(self.index_of(value)) - value)  # type: ignore[arg-type, operator]
        return bool(off <= max(1e-6 * self.step, _grain(self.min, self.max) / 2))

    def canonical(self, value: ParamValue) -> float:
        """One of the values as the program is given it: 0.3 for 0.1 + 0.2, 1.0 for 1."""
        return float(value) if self.step is None else self.value_at(self.index_of(float(value)))

    @property
    def choices(self) -> tuple[float, ...] | None:
        """All values in order, or None when there are too many to list."""
        size = self.size
        return tuple(map(self.value_at, range(size))) if size is not None and size <= MOST_LISTED else None

    @property
    def middle(self) -> float:
        """The value half way on the scale."""
        if self.size is not None:
            return self.value_at(self.size // 2)
        if self.scale == "log":
            half = math.exp((math.log(self.min) + math.log(self.max)) / 2)
        else:
            half = self.min / 2 + self.max / 2
        return min(self.max, max(self.min, float(f"{half:.12g}")))  # 0.01, not 0.010000000000000004


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter:
    name: str
    min: int
    max: int
    scale: Scale = "linear"  # pow2: powers of two from min to max, both powers of two themselves
    step: int | None = None
    default: int | None = None
    when: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        where = f"space.{self.name}"
        if self.scale not in {"linear", "log", "pow2"}:
            raise problem(f"{where}.scale", f"an int has no scale {self.scale!r}.", "Use linear, log or pow2.")
        _check_range(where, self.min, self.max, self.scale, self.step)
        if max(abs(self.min), abs(self.max)) > _LARGEST_INT:
            raise problem(where, f"bounds beyond {_LARGEST_INT} are not supported.", "Narrow the range.")
        if self.scale == "pow2":
            for end in ("min", "max"):
                value = getattr(self, end)
                if value & (value - 1):
                    low = 1 << (value.bit_length() - 1)
                    raise problem(f"{where}.{end}", f"{value} is no power of two.", f"Use {low} or {2 * low}.")
        _settle_default(self)

    @property
    def size(self) -> int:
        """How many different values there are."""
        if self.scale == "pow2":
            return self.max.bit_length() - self.min.bit_length() + 1
        return (self.max - self.min) // (self.step or 1) + 1

    def value_at(self, index: int) -> int:
        """Value number `index`."""
        return self.min << index if self.scale == "pow2" else self.min + index * (self.step or 1)

    def index_of(self, value: int) -> int:
        """Place of one of the values."""
        if self.scale == "pow2":
            return value.bit_length() - self.min.bit_length()
        return (value - self.min) // (self.step or 1)

    def contains(self, value: object) -> bool:
        """True for a whole number within bounds, 4.0 too, that scale and step can produce."""
        if not _is_number(value) or not self.min <= value <= self.max or value != int(value):  # type: ignore[operator, call-overload]
            return False
        whole: int = int(value)  # type: ignore[call-overload]
        if self.scale == "pow2":
            return whole & (whole - 1) == 0
        return (whole - self.min) % (self.step or 1) == 0

    def canonical(self, value: ParamValue) -> int:
        """One of the values as the program is given it."""
        return int(value)

    @property
    def choices(self) -> tuple[int, ...] | None:
        """All values in order, or None when there are too many to list."""
        return tuple(map(self.value_at, range(self.size))) if self.size <= MOST_LISTED else None

    @property
    def middle(self) -> int:
        """The value half way on the scale."""
        if self.scale == "log":
            return min(self.max, max(self.min, round(math.sqrt(self.min * self.max))))
        return self.value_at(self.size // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A parameter whose values are listed."""

    name: str
    values: tuple[ParamValue, ...]
    default: ParamValue | None = None
    when: tuple[Condition, ...] = ()
    # By `identity`: there may be thousands of values, and conditions that name thousands.
    places: Mapping[object, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = f"space.{self.name}.{'value' if isinstance(self, FixedParameter) else 'values'}"
        if not self.values:
            raise problem(where, "there are no values to choose from.", "List at least one.")
        object.__setattr__(self, "places", {identity(v): i for i, v in enumerate(self.values)})
        if len(self.places) < len(self.values):
            raise problem(where, "a value is listed twice.", "List each once.")
        for value in self.values:
            if isinstance(value, float) and not math.isfinite(value):
                raise problem(where, f"{value} is not a finite number.", "Remove it.")
            if isinstance(value, int) and abs(value) > _LARGEST_INT:
                raise problem(where, f"{value} is beyond {_LARGEST_INT}.", "Write it as a text or with a point.")
            if isinstance(value, str):
                _check_text(value, where)
        _settle_default(self)  # type: ignore[arg-type]

    @property
    def size(self) -> int:
        """How many different values there are."""
        return len(self.values)

    def value_at(self, index: int) -> ParamValue:
        """Value number `index`, as written."""
        return self.values[index]

    def index_of(self, value: ParamValue) -> int:
        """Place of one of the values."""
        return self.places[identity(value)]

    def contains(self, value: object) -> bool:
        """True for one of the values."""
        return isinstance(value, (bool, int, float, str)) and identity(value) in self.places

    def canonical(self, value: ParamValue) -> ParamValue:
        """One of the values as it was written."""
        return self.value_at(self.index_of(value))

    @property
    def choices(self) -> tuple[ParamValue, ...]:
        """All values in the order written."""
        return self.values

    @property
    def middle(self) -> ParamValue:
        """The value that stands for the parameter when nothing else is known."""
        return self.values[0]


def _check_text(text: str, where: str) -> None:
    """A program gets it as an argument and in its environment, which cannot hold every text."""
    shown = repr(text if len(text) <= 50 else f"{text[:50]}…")
    if len(text) > _LONGEST_TEXT:
        raise problem(where, f"{shown} has {len(text)} characters.", f"Use {_LONGEST_TEXT} at most, a file's name say.")
    if not is_storable(text):
        raise problem(where, f"{shown} holds a character that no program can be given.", "Remove it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter(_Listed):
    """Values without an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalParameter(_Listed):
    """Values in order: neighbours are alike."""

    @property
    def middle(self) -> ParamValue:
        """The value half way along the list."""
        return self.values[len(self.values) // 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoolParameter(_Listed):
    """false or true."""

    values: tuple[ParamValue, ...] = (False, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedParameter(_Listed):
    """One value, which the program is given like any other. `values` holds just that."""


Parameter = FloatParameter | IntParameter | BoolParameter | CategoricalParameter | OrdinalParameter | FixedParameter

PARAMETER_TYPES: dict[str, type[Parameter]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "bool": BoolParameter,
    "categorical": CategoricalParameter,
    "ordinal": OrdinalParameter,
    "fixed": FixedParameter,
}


def parameter_from_dict(name: str, data: Mapping[str, Any]) -> Parameter:
    """One parameter from its entry in a job file, whose shape has been checked.

    Raises:
        InvalidRequest: min > max, log over zero and the like.
    """
    values = dict(data)
    cls = PARAMETER_TYPES[values.pop("type")]
    when = tuple(
        Condition(parent=parent, values=tuple(allowed)) for parent, allowed in (values.pop("when", None) or {}).items()
    )
    if cls is FixedParameter:
        values["values"] = (values.pop("value"),)
    elif "values" in values:
        values["values"] = tuple(values["values"])
    elif cls in {FloatParameter, IntParameter}:
        # Authors write 1 for 1.0 and 1.0e3 for 1000; the program is given one and the same.
        kind = float if cls is FloatParameter else int
        values |= {key: kind(values[key]) for key in ("min", "max", "step", "default") if values.get(key) is not None}
    return cls(name=name, when=when, **values)


def parameter_to_dict(parameter: Parameter) -> dict[str, Any]:
    """What `parameter_from_dict` reads back equal, without what is left to default."""
    names = {cls: name for name, cls in PARAMETER_TYPES.items()}
    data: dict[str, Any] = {"type": names[type(parameter)]}
    if isinstance(parameter, (FloatParameter, IntParameter)):
        data |= {"min": parameter.min, "max": parameter.max, "scale": parameter.scale}
        if parameter.step is not None:
            data["step"] = parameter.step
    elif isinstance(parameter, FixedParameter):
        data["value"] = parameter.values[0]
    elif not isinstance(parameter, BoolParameter):
        data["values"] = list(parameter.values)
    if parameter.default is not None:
        data["default"] = parameter.default
    if parameter.when:
        data["when"] = {c.parent: list(c.values) for c in parameter.when}
    return data
