"""The job file: the one schema for REST, client, command line and portal. Unknown fields are errors."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, Budget, Goal, JobSpec, Objective, Resources, Summary
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.space import Space

When = Annotated[
    dict[str, list[bool | int | float | str]],
    Field(description="Active only while each named parent has one of the values: {optimizer: [sgd]}"),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FloatEntry(_Part):
    type: Literal["float"]
    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"
    when: When | None = None


class IntEntry(_Part):
    type: Literal["int"]
    min: int
    max: int
    scale: Literal["linear", "log", "pow2"] = Field("linear", description="pow2: powers of two only")
    when: When | None = None


class CategoricalEntry(_Part):
    type: Literal["categorical"]
    values: list[bool | int | float | str]
    when: When | None = None


SpaceEntry = Annotated[FloatEntry | IntEntry | CategoricalEntry, Field(discriminator="type")]


class ObjectiveEntry(_Part):
    metric: str = Field(description="Name of a metric that the program prints", max_length=200)
    goal: Goal
    summary: Summary = Field(Summary.BEST, description="best: the best value over all steps; last: the last one")


class AlgorithmEntry(_Part):
    name: str = "tpe"
    version: str = ""  # of a plug-in; the newest when left out
    options: dict[str, Any] = Field(default_factory=dict)


class BudgetEntry(_Part):
    trials: int = Field(le=1_000_000, description="How many configurations are tried")
    parallel: int = Field(1, le=100_000, description="How many run at once")
    minutes: float | None = Field(None, description="The job ends after this long; running trials are stopped")
    trial_minutes: float | None = Field(None, description="A trial that runs longer has failed")
    failures: int = Field(10, description="The job gives up after this many failed trials in a row")


class ResourcesEntry(_Part):
    cpus: int = Field(1, description="CPUs of one trial; bounds its threads")
    gpus: float = Field(0, description="GPUs of one trial: 0.25, 0.5, 1, 2 …")


class JobFile(_Part):
    """A tuning job as its author writes it."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$", description="For people, on one line")
    framework: str = Field(description="One of GET /v1/frameworks")
    program: str = Field(description="Digest of an uploaded program; in a file for the command line, a folder")
    command: str = Field(description="How a trial is started, in the program's folder: python train.py")
    space: dict[str, SpaceEntry]
    objective: ObjectiveEntry
    algorithm: AlgorithmEntry = Field(default_factory=AlgorithmEntry)
    budget: BudgetEntry
    resources: ResourcesEntry = ResourcesEntry(cpus=1, gpus=0)
    seed: int = Field(0, ge=0, lt=2**63)
    log_patterns: list[str] = Field(
        default_factory=list,
        description="Regular expressions with groups named metric and value (and step), or named as the metric",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits-cnn",
                    "framework": "pytorch",
                    "program": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "command": "python train.py",
                    "space": {
                        "lr": {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"},
                        "batch_size": {"type": "int", "min": 16, "max": 256, "scale": "pow2"},
                        "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
                        "momentum": {"type": "float", "min": 0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
                    },
                    "objective": {"metric": "val_accuracy", "goal": "maximize"},
                    "algorithm": {"name": "tpe", "options": {}},
                    "budget": {"trials": 24, "parallel": 2, "minutes": 30},
                    "resources": {"cpus": 1, "gpus": 0},
                    "seed": 7,
                }
            ]
        }
    )

    def to_spec(self) -> JobSpec:
        """The spec that this file describes.

        Raises:
            InvalidRequest: with every problem that can be told without looking anything up.
        """
        problems: list[FieldProblem] = []

        def built(make: Any) -> Any:
            try:
                return make()
            except InvalidRequest as error:
                problems.extend(error.problems)
                return None

        written = {name: entry.model_dump(exclude_unset=True) for name, entry in self.space.items()}
        space = built(lambda: Space.from_dict(written))
        objective = built(lambda: Objective(**self.objective.model_dump()))
        budget = built(lambda: Budget(**self.budget.model_dump()))
        resources = built(lambda: Resources(**self.resources.model_dump()))
        if problems or space is None:
            raise InvalidRequest(*problems)
        return JobSpec(
            name=self.name,
            framework=self.framework,
            program=self.program,
            command=self.command,
            space=space,
            objectives=(objective,),
            algorithm=AlgorithmChoice(
                name=self.algorithm.name, options=self.algorithm.options, version=self.algorithm.version
            ),
            budget=budget,
            resources=resources,
            seed=self.seed,
            log_patterns=tuple(self.log_patterns),
        )


def parse_job_file(data: object) -> JobFile:
    """The job file in a decoded YAML or JSON document.

    Raises:
        InvalidRequest: a field is missing, unknown or of the wrong type.
    """
    try:
        return JobFile.model_validate(data)
    except ValidationError as error:
        raise InvalidRequest(*problems_from(error.errors(), JobFile)) from error


_PYDANTIC_SUBJECT = re.compile(r"^(Input|String|Value|List|Dictionary) should ")
_TAGS = frozenset({"float", "int", "categorical", "bool", "str"})
_PARTS: Mapping[str, type[BaseModel]] = {
    "objective": ObjectiveEntry,
    "algorithm": AlgorithmEntry,
    "budget": BudgetEntry,
    "resources": ResourcesEntry,
}
_SPACE_PARTS: Mapping[str, type[BaseModel]] = {
    "float": FloatEntry,
    "int": IntEntry,
    "categorical": CategoricalEntry,
}


def problems_from(errors: Iterable[Any], model: type[BaseModel]) -> list[FieldProblem]:
    """Pydantic's errors in our words: the field as its author wrote it, what is wrong, what to write instead."""
    problems: dict[str, FieldProblem] = {}
    for error in errors:
        loc = [str(part) for part in error["loc"] if part != "body"]
        field = _as_written(loc) if model is JobFile else ".".join(loc)
        message, remedy = _in_words(error, loc, model)
        problems.setdefault(field, FieldProblem(field=field or "body", message=message, remedy=remedy))
    return list(problems.values())


def _as_written(loc: Sequence[str]) -> str:
    """Without the names of union members that pydantic puts into a path."""
    if loc[:1] == ["space"]:
        return ".".join([*loc[:2], *(part for part in loc[2:] if part not in _TAGS)])
    return ".".join(loc)


def _in_words(error: Any, loc: Sequence[str], model: type[BaseModel]) -> tuple[str, str]:
    kind = error["type"]
    if kind == "extra_forbidden":
        known = list(_known_names(loc, model))
        close = difflib.get_close_matches(loc[-1], known, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}."
        return "is not a known field.", remedy
    if kind == "missing":
        return "is missing.", "Add it."
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return "has no known type.", "Write type: float, int or categorical."
    if kind in {"model_attributes_type", "dict_type"} and isinstance(error.get("input"), bytes):
        return "is not read as JSON.", "Send it with the header 'Content-Type: application/json'."
    message = _PYDANTIC_SUBJECT.sub("must ", error["msg"].removeprefix("Value error, "))
    return f"{message}.".replace("..", "."), f"Got {_cut(error.get('input'))}."


def _known_names(loc: Sequence[str], model: type[BaseModel]) -> Iterable[str]:
    if model is JobFile and len(loc) > 1:
        part = _SPACE_PARTS.get(loc[2]) if loc[0] == "space" and len(loc) > 3 else _PARTS.get(loc[0])
        return part.model_fields if part else ()
    return model.model_fields


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


__all__ = ["JobFile", "ParamValue", "parse_job_file", "problems_from"]
