"""The job file: the one schema for REST, client, command line and portal. Unknown fields are errors."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tuning_service.domain.environment import ProgramEnvironment
from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import (
    AlgorithmChoice,
    Arguments,
    Budget,
    JobSpec,
    MetricConstraint,
    Objective,
    Resources,
)
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.space import Space
from tuning_service.domain.texts import is_storable
from tuning_service.frameworks.base import frameworks
from tuning_service.manager.job_entries import (
    AlgorithmEntry,
    BudgetEntry,
    EnvironmentEntry,
    MetricName,
    ObjectiveEntry,
    Objectives,
    Part,
    ResourcesEntry,
)
from tuning_service.manager.points import points_of
from tuning_service.manager.space_entries import (
    BoolEntry,
    CategoricalEntry,
    FixedEntry,
    FloatEntry,
    IntEntry,
    OrdinalEntry,
    Point,
    SpaceEntries,
    Whole,
)


class JobFile(Part):
    """A tuning job as its author writes it."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$", description="For people, on one line")
    framework: str = Field(description="One of GET /v1/frameworks")
    program: str = Field(description="Digest of an uploaded program; in a file for the command line, a folder")
    command: str = Field(
        description="How a trial is started, in the program's folder: python train.py; caffe has a default"
    )
    arguments: Arguments = Field(
        Arguments.FLAGS, description="How parameters follow the command: --a 1 (dashes: --a-b 1), a=1, or not at all"
    )
    space: SpaceEntries
    constraints: list[str] = Field(
        default_factory=list, max_length=50, description="Conditions over parameters: width * depth <= 4096"
    )
    points: list[Point] = Field(
        default_factory=list, description="Configurations that are tried first; what one leaves out has its default"
    )
    objective: Objectives
    metric_constraints: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list,
        max_length=20,
        description="Limits on the last value of metrics that the program prints: latency_ms <= 20",
    )
    stored_metrics: list[MetricName] = Field(
        default_factory=list, max_length=50, description="Metrics that are recognised in the log and kept, no more"
    )
    warm_start: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=200, description="Ids of earlier jobs whose trials the algorithm learns from"
    )
    algorithm: AlgorithmEntry = Field(default_factory=AlgorithmEntry)
    budget: BudgetEntry
    resources: ResourcesEntry = ResourcesEntry(cpus=1, gpus=0)
    pool: str = Field(
        "", max_length=64, description="One of GET /v1/pools; may be left out when there is one, or one named default"
    )
    environment: EnvironmentEntry = Field(
        default=EnvironmentEntry(name="", requirements="", archive=""),
        description="The Python that the program runs in; the executor's own when left out",
    )
    seed: Whole = Field(0, ge=0, lt=2**63)
    log_patterns: list[str] = Field(
        default_factory=list,
        description="Patterns such as `loss is %{NUMBER:loss}`, or regular expressions with groups named as the metric",
    )
    log_files: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list,
        description="Files that the program writes metrics into, as shell patterns: logs/*.log",
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
                        "width": {"type": "int", "min": 16, "max": 512, "step": 16, "default": 64},
                        "pooling": {"type": "ordinal", "values": ["none", "some", "much"]},
                        "augment": {"type": "bool"},
                    },
                    "constraints": ["width * batch_size <= 65536", "optimizer == 'adam' or lr < 0.2"],
                    "points": [{"lr": 0.01, "optimizer": "adam"}],
                    "objective": {"metric": "val_accuracy", "goal": "maximize"},
                    "algorithm": {"name": "auto", "options": {}},
                    "budget": {"trials": 24, "parallel": 2, "minutes": 30},
                    "resources": {"cpus": 1, "gpus": 0},
                    "seed": 7,
                }
            ]
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _with_command(cls, data: object) -> object:
        """With the framework's own command where the file names none, and the framework has one."""
        if isinstance(data, Mapping) and "command" not in data:
            manager = frameworks().get(str(data.get("framework")))
            if manager is not None and manager.command:
                return {**data, "command": manager.command}
        return data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        handler.resolve_ref_schema(schema)["required"].remove("command")  # for some frameworks, see above
        return schema

    def to_spec(self) -> JobSpec:
        """The spec that this file describes.

        Raises:
            InvalidRequest: with every problem that can be told without looking anything up.
        """
        problems = list(_strange_texts(self.model_dump(exclude={"space"})))

        def built(make: Any) -> Any:
            try:
                return make()
            except InvalidRequest as error:
                problems.extend(error.problems)
                return None

        written = {name: entry.written for name, entry in self.space.items()}
        space = built(lambda: Space.from_dict(written, self.constraints))
        objectives = [built(make) for make in self._objectives()]
        limits = [
            built(partial(MetricConstraint.parse, text, f"metric_constraints.{i}"))
            for i, text in enumerate(self.metric_constraints)
        ]
        problems += _repeats("warm_start", self.warm_start)
        budget = built(lambda: Budget(**self.budget.model_dump()))
        resources = built(lambda: Resources(**self.resources.model_dump()))
        environment = built(lambda: ProgramEnvironment(**self.environment.model_dump()))
        points = built(lambda: points_of(space, self.points, budget)) if space and budget else ()
        if problems or space is None:
            raise InvalidRequest(*problems)
        return JobSpec(
            name=self.name,
            framework=self.framework,
            program=self.program,
            command=self.command,
            space=space,
            objectives=tuple(objectives),
            metric_constraints=tuple(limits),
            stored_metrics=tuple(self.stored_metrics),
            warm_start=tuple(self.warm_start),
            algorithm=AlgorithmChoice(**self.algorithm.model_dump()),
            budget=budget,
            resources=resources,
            environment=environment,
            seed=self.seed,
            pool=self.pool,
            arguments=self.arguments,
            log_patterns=tuple(self.log_patterns),
            log_files=tuple(self.log_files),
            points=points,
        )

    def _objectives(self) -> Iterator[Callable[[], Objective]]:
        """Makers of the objectives; what they raise names the field as its author wrote it."""
        if isinstance(self.objective, ObjectiveEntry):
            yield partial(Objective, **self.objective.model_dump())
            return
        for i, entry in enumerate(self.objective):
            yield partial(_at, f"objective.{i}", partial(Objective, **entry.model_dump()))


def _at(where: str, make: Callable[[], Objective]) -> Objective:
    """What `make` makes. Raises what it raises, with the fields of `objective` as those of `where`."""
    try:
        return make()
    except InvalidRequest as error:
        raise InvalidRequest(
            *(replace(problem, field=problem.field.replace("objective", where, 1)) for problem in error.problems)
        ) from None


def _strange_texts(value: object, where: str = "") -> Iterator[FieldProblem]:
    """Each text that could not be stored. Those of the space are its own business."""
    if isinstance(value, str) and not is_storable(value):
        message = "holds a character that cannot be stored."
        yield FieldProblem(field=where, message=message, remedy="Remove NUL and halves of surrogate pairs.")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _strange_texts(item, f"{where}.{name}" if where else name)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _strange_texts(item, f"{where}.{i}")


def _repeats(field: str, values: Sequence[str]) -> list[FieldProblem]:
    return [
        FieldProblem(field=f"{field}.{i}", message=f"{value!r} is named twice.", remedy="Name it once.")
        for i, value in enumerate(values)
        if value in values[:i]
    ]


class PointsFile(Part):
    """Points for a job that runs, as in a job file. They count within its `budget.trials` and may repeat trials."""

    points: list[Point] = Field(description="Configurations; what one leaves out has its default")

    model_config = ConfigDict(json_schema_extra={"examples": [{"points": [{"lr": 0.01, "optimizer": "adam"}]}]})


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
_UNION = frozenset({"bool", "int", "float", "str"})
_MANY = frozenset({"one", "several"})
_PARTS: Mapping[str, type[BaseModel]] = {
    "objective": ObjectiveEntry,
    "algorithm": AlgorithmEntry,
    "budget": BudgetEntry,
    "resources": ResourcesEntry,
    "environment": EnvironmentEntry,
}
_SPACE_PARTS: Mapping[str, type[BaseModel]] = {
    "float": FloatEntry,
    "int": IntEntry,
    "bool": BoolEntry,
    "categorical": CategoricalEntry,
    "ordinal": OrdinalEntry,
    "fixed": FixedEntry,
}
_TYPES = ", ".join(list(_SPACE_PARTS)[:-1]) + f" or {list(_SPACE_PARTS)[-1]}"
# Other libraries' names for our types.
_SYNONYMS = {
    "real": "float",
    "double": "float",
    "number": "float",
    "uniform": "float",
    "integer": "int",
    "boolean": "bool",
    "choice": "categorical",
    "category": "categorical",
    "enum": "categorical",
    "discrete": "ordinal",
    "constant": "fixed",
}


def problems_from(errors: Iterable[Any], model: type[BaseModel]) -> list[FieldProblem]:
    """Pydantic's errors in our words: the field as its author wrote it, what is wrong, what to write instead."""
    problems: dict[str, FieldProblem] = {}
    for error in errors:
        loc = [str(part) for part in error["loc"] if part != "body"]
        field = _as_written(loc) if model in {JobFile, PointsFile} else ".".join(loc)
        message, remedy = _in_words(error, loc, model)
        problems.setdefault(field, FieldProblem(field=field or "body", message=message, remedy=remedy))
    return list(problems.values())


def _as_written(loc: Sequence[str]) -> str:
    """Without the names of union members that pydantic puts into a path."""
    parts = list(loc[:-1] if _is_of_union(loc) else loc)
    if parts[:1] == ["space"]:
        del parts[2:3]  # the type
    if parts[:1] == ["objective"]:
        parts = [parts[0], *(part for part in parts[1:] if part not in _MANY)]
    return ".".join(parts)


def _is_of_union(loc: Sequence[str]) -> bool:
    """True when the last part names what a `Value` was tried as."""
    if not loc or loc[-1] not in _UNION:
        return False
    in_space = loc[0] == "space" and len(loc) > 4 and (loc[-2].isdigit() or loc[-2] in {"default", "value"})
    return in_space or (loc[0] == "points" and len(loc) == 4)


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
        return "has no known type.", _type_meant(error.get("input"))
    if _is_of_union(loc):
        return "must be a text, a number, true or false.", f"Got {_cut(error.get('input'))}."
    if kind in {"model_attributes_type", "dict_type"} and isinstance(error.get("input"), bytes):
        return "is not read as JSON.", "Send it with the header 'Content-Type: application/json'."
    message = _PYDANTIC_SUBJECT.sub("must ", error["msg"].removeprefix("Value error, "))
    return f"{message}.".replace("..", "."), f"Got {_cut(error.get('input'))}."


def _known_names(loc: Sequence[str], model: type[BaseModel]) -> Iterable[str]:
    if model is JobFile and len(loc) > 1:
        part = _SPACE_PARTS.get(loc[2]) if loc[0] == "space" and len(loc) > 3 else _PARTS.get(loc[0])
        return part.model_fields if part else ()
    return model.model_fields


def _type_meant(entry: object) -> str:
    written = str(entry.get("type", "")).lower() if isinstance(entry, Mapping) else ""
    close = difflib.get_close_matches(written, _SPACE_PARTS, n=1)
    meant = _SYNONYMS.get(written) or (close[0] if close else "")
    return f"Write type: {_TYPES}." + (f" Did you mean {meant}?" if meant else "")


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


__all__ = ["JobFile", "ParamValue", "parse_job_file", "problems_from"]
