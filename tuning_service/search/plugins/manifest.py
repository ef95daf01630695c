"""plugin.toml: what a plug-in says of itself. Reading it runs none of the plug-in's code."""

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    create_model,
    model_validator,
)

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.search.base import Options

FILE = "plugin.toml"
OLD_MODULE, OLD_CLASS = "optimizer", "PluginOptimizer"  # fixed by the older interface
NAME = r"[a-z][a-z0-9_]{0,62}"
VERSION = r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}"
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_MOST_OPTIONS, _MOST_REQUIREMENTS = 50, 50
_MOST_BYTES = 2**16
_LARGEST = 2**53  # beyond it, readers of JSON lose digits, or refuse
# Names that pydantic's models need for themselves.
_RESERVED = frozenset(name for name in dir(Options) if not name.startswith("__"))

Scalar = bool | int | float | str
_TYPES: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OptionSpec(_Table):
    """One option: its type, default, and what it may be."""

    type: Literal["float", "int", "bool", "str"]
    default: Scalar
    min: StrictInt | StrictFloat | None = None
    max: StrictInt | StrictFloat | None = None
    choices: tuple[Scalar, ...] | None = Field(None, min_length=1)
    description: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type in {"bool", "str"} and (self.min is not None or self.max is not None):
            raise ValueError(f"a {self.type} has no min or max")
        for number in (self.default, self.min, self.max, *(self.choices or ())):
            if isinstance(number, int) and abs(number) > _LARGEST:
                raise ValueError(f"{number} is beyond {_LARGEST}")
        self._check_bounds()
        for value in (self.default, *(self.choices or ())):
            if not _is(value, self.type):
                raise ValueError(f"{value!r} is no {self.type}")
        if self.choices is not None and self.default not in self.choices:
            raise ValueError(f"the default {self.default!r} is none of the choices")
        low, high = self.min, self.max
        if isinstance(self.default, (int, float)) and (
            (low is not None and self.default < low) or (high is not None and self.default > high)
        ):
            raise ValueError(f"the default {self.default!r} is not between min and max")
        return self

    def _check_bounds(self) -> None:
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and not math.isfinite(bound):
                raise ValueError(f"{name} is {bound}; leave it out for no bound")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")

    def field(self) -> tuple[Any, Any]:
        """The option as pydantic's `create_model` takes it."""
        kind: Any = _TYPES[self.type]
        if self.choices is not None:
            kind = Literal[tuple(_TYPES[self.type](c) for c in self.choices)]
        elif self.type in {"float", "int"}:
            kind = Annotated[kind, Field(ge=self.min, le=self.max, allow_inf_nan=False)]  # nan is no value
        elif self.type == "bool":
            kind = Annotated[bool, Field(strict=True)]
        return kind, Field(_TYPES[self.type](self.default), description=self.description or None)


def _is(value: Scalar, kind: str) -> bool:
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0
    return type(value) is _TYPES[kind]


class Manifest(_Table):
    """A plug-in as its author describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(pattern=f"^{NAME}$")
    version: str = Field(pattern=f"^{VERSION}$")
    summary: str = Field("", max_length=300)
    interface: Literal["hpt", "dli"] = "hpt"
    module: str = Field(OLD_MODULE, pattern=rf"^{_IDENTIFIER}(\.{_IDENTIFIER})*$")
    class_name: str = Field(OLD_CLASS, alias="class", pattern=f"^{_IDENTIFIER}$")
    most_objectives: StrictInt = Field(1, ge=1, le=100)
    takes_constraints: StrictBool = False  # on metrics
    takes_conditions: StrictBool = True  # parameters that are active under others' values only
    requirements: tuple[str, ...] = Field((), max_length=_MOST_REQUIREMENTS)
    options: dict[str, OptionSpec] = Field(default_factory=dict, max_length=_MOST_OPTIONS)
    free_options: bool = False  # whatever name: of the older interface, which declares none

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("interface") == "dli":
            return {"takes_conditions": False} | dict(data)
        return data

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name in self.options:
            if not re.fullmatch(_IDENTIFIER, name) or name.startswith("_") or name in _RESERVED:
                raise ValueError(f"options.{name} cannot be an option's name; use letters, digits and underscores")
        for requirement in self.requirements:
            _check_requirement(requirement)
        if self.interface == "dli" and (self.most_objectives > 1 or self.takes_constraints or self.takes_conditions):
            raise ValueError("interface dli has one objective, and neither constraints nor conditions")
        return self

    def options_type(self) -> type[Options]:
        """The options as a model, which validates a job's without the plug-in's code."""
        fields: dict[str, Any] = {name: spec.field() for name, spec in self.options.items()}
        if not self.free_options:
            return create_model(f"{self.class_name}Options", __base__=Options, **fields)
        return create_model(f"{self.class_name}Options", __base__=_FreeOptions, **fields)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` reads it back equal."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The manifest that `to_json` wrote."""
        return cls.model_validate(dict(data))


class _FreeOptions(Options):
    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Scalar] = Field(init=False)


def _check_requirement(text: str) -> None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"the requirement {text!r} cannot be read ({str(error).splitlines()[0]})") from None
    if requirement.url:
        raise ValueError(f"the requirement {text!r} names an address; name a package and its versions")


def read(folder: Path, *, name: str = "", version: str = "") -> Manifest:
    """The manifest of the plug-in in `folder`. Without a plugin.toml it is one of the older interface, whose name is
    `name` and version `version`, by default 1.

    Raises:
        InvalidRequest: naming each field of plugin.toml that is wrong, and the remedy.
    """
    path = folder / FILE
    if not path.is_file():
        return _old(folder, name, version)
    if path.stat().st_size > _MOST_BYTES:  # it is read here, and shown with each list of plug-ins
        raise _refused(FILE, f"is longer than {_MOST_BYTES} bytes.", "Shorten descriptions and choices.")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows's editors begin with a mark
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refused(FILE, f"is no TOML: {error}.", "Correct that line.") from None
    except RecursionError:
        raise _refused(FILE, "has too many brackets within brackets.", "Write it plainly.") from None
    manifest = parse(data)
    for what, given, stands in (("name", name, manifest.name), ("version", version, manifest.version)):
        if given and given != stands:
            raise _refused(what, f"is {given!r} in the request and {stands!r} in {FILE}.", "Leave it out.")
    _check_module(folder, manifest)
    return manifest


def parse(data: Mapping[str, Any]) -> Manifest:
    """The manifest that these tables of plugin.toml make. Raises InvalidRequest as `read`."""
    if not isinstance(data.get("free_options", False), bool) or "class_name" in data:
        raise _refused(FILE, "class_name is no key of it.", "Write class.")
    # The older interface fixes both.
    needed = () if data.get("interface") == "dli" else ("module", "class")
    problems = [
        FieldProblem(field=f"{FILE}.{key}", message="is missing.", remedy=_REMEDIES[key])
        for key in needed
        if key not in data
    ]
    try:
        manifest = Manifest.model_validate(dict(data))
    except ValidationError as error:
        problems += [_problem(dict(item), data) for item in error.errors()]
    if problems:
        raise InvalidRequest(*problems)
    return manifest


def _old(folder: Path, name: str, version: str) -> Manifest:
    if not (folder / f"{OLD_MODULE}.py").is_file():
        files = sorted(p.name for p in folder.iterdir())[:8]
        raise _refused(
            FILE,
            f"is missing; at the top level are {', '.join(files) or 'no files'}.",
            f"Put a {FILE} there, or an {OLD_MODULE}.py for the older interface.",
        )
    if not name:
        raise _refused("name", f"is needed for a plug-in without {FILE}.", "Say what jobs are to call it.")
    data = {"name": name, "version": version or "1", "interface": "dli", "free_options": True}
    try:
        return Manifest.model_validate(data | {"summary": "An optimizer of the older interface."})
    except ValidationError as error:
        problems = [_problem(dict(item), data) for item in error.errors()]
        raise InvalidRequest(
            *(
                FieldProblem(field=p.field.removeprefix(f"{FILE}."), message=p.message, remedy=p.remedy)
                for p in problems
            )
        ) from None


def _check_module(folder: Path, manifest: Manifest) -> None:
    path = folder.joinpath(*manifest.module.split("."))
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        found = sorted(p.stem for p in folder.glob("*.py"))
        raise _refused(
            f"{FILE}.module",
            f"there is no file {path.relative_to(folder)}.py.",
            did_you_mean(manifest.module, found) if found else "Put the module beside it.",
        )


def _problem(item: dict[str, Any], data: Mapping[str, Any]) -> FieldProblem:
    where = ".".join([FILE, *(str(part) for part in item["loc"])])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        inside = len(item["loc"]) > 1
        known = OptionSpec.model_fields if inside else _keys()
        return FieldProblem(
            field=where, message="is no key of this table.", remedy=did_you_mean(str(item["loc"][-1]), known)
        )
    if item["type"] == "missing":
        return FieldProblem(field=where, message="is missing.", remedy="Add it.")
    if item["type"] == "string_pattern_mismatch":
        return FieldProblem(
            field=where, message=f"{item['input']!r} is not allowed.", remedy=_REMEDIES[item["loc"][-1]]
        )
    value = item["input"]
    shown = "" if isinstance(value, Mapping) or value is data else f", not {value!r}"
    return FieldProblem(field=where, message=f"{message}{shown}.", remedy="Change it.")


_REMEDIES = {
    "name": "Use a lower-case letter, then up to 62 lower-case letters, digits or underscores.",
    "version": "Use numbers and dots, such as 1.0.2.",
    "module": "Name it as in Python's import, without .py.",
    "class": "Name the class as it stands in the module.",
    "class_name": "Name the class as it stands in the module.",
}


def _keys() -> list[str]:
    return [f.alias or name for name, f in Manifest.model_fields.items() if name != "free_options"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the `known` names, and all of them."""
    names = {other.lower(): other for other in sorted(known)}
    close = get_close_matches(name.lower(), names, n=1)
    return (f"Did you mean {names[close[0]]!r}? " if close else "") + f"There are: {', '.join(names.values())}."


def version_key(version: str) -> tuple[tuple[int, ...], str]:
    """Sorts versions: 1.10 comes after 1.9."""
    return tuple(int(part) for part in version.split(".")), version


def as_text(value: Any) -> str:
    """A value as the older interface writes it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _refused(where: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))
