"""The entries of a job file's `space`, and what a value can be there."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


# pydantic alone would read true as 1.
Real = Annotated[float, BeforeValidator(_no_truth_value)]
Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Value = bool | int | float | str
When = Annotated[
    dict[str, list[bool | int | float | str]],
    Field(description="Active only while each named parent has one of the values: {optimizer: [sgd]}"),
]


class _Entry(BaseModel):
    """One parameter. `written` has its fields in the order and form in which its author wrote them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    when: When | None = None
    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        if isinstance(data, Mapping):
            made._written = data  # noqa: SLF001  # of this very class
        return made

    @property
    def written(self) -> dict[str, Any]:
        read = self.model_dump(exclude_unset=True)
        # 0 stays 0 where 0.0 was read, but a number written as a text ("1e-4") becomes one.
        return {name: _as_one_wrote(self._written.get(name), read[name]) for name in self._written or read}


class FloatEntry(_Entry):
    type: Literal["float"]
    min: Real
    max: Real
    scale: Literal["linear", "log"] = "linear"
    step: Real | None = Field(None, description="Only min, min + step, … up to max; with scale linear")
    default: Real | None = Field(None, description="Its value in the configuration that is tried first")


class IntEntry(_Entry):
    type: Literal["int"]
    min: Whole
    max: Whole
    scale: Literal["linear", "log", "pow2"] = Field("linear", description="pow2: powers of two only")
    step: Whole | None = Field(None, description="Only min, min + step, … up to max; with scale linear")
    default: Whole | None = Field(None, description="Its value in the configuration that is tried first")


class BoolEntry(_Entry):
    type: Literal["bool"]
    default: bool | None = Field(None, strict=True, description="Its value in the configuration that is tried first")


class CategoricalEntry(_Entry):
    type: Literal["categorical"]
    values: list[Value] = Field(description="In no order")
    default: Value | None = Field(None, description="Its value in the configuration that is tried first")


class OrdinalEntry(_Entry):
    type: Literal["ordinal"]
    values: list[Value] = Field(description="In order: neighbours are alike")
    default: Value | None = Field(None, description="Its value in the configuration that is tried first")


class FixedEntry(_Entry):
    type: Literal["fixed"]
    value: Value = Field(description="Its only value, which the program is given as any other")


SpaceEntry = Annotated[
    FloatEntry | IntEntry | BoolEntry | CategoricalEntry | OrdinalEntry | FixedEntry, Field(discriminator="type")
]
# One of several configurations that somebody wants tried.
Point = dict[str, Value]
MOST_PARAMETERS = 500
SpaceEntries = Annotated[dict[str, SpaceEntry], Field(max_length=MOST_PARAMETERS)]


def _as_one_wrote(written: Any, read: Any) -> Any:
    """What was written, where it is what was read from it, and a number that every store can hold."""
    is_same = type(written) in {int, float} and type(read) in {int, float} and written == read and abs(written) < 2**53
    return written if is_same else read
