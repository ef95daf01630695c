"""Nets in prototxt: trained by Caffe where an executor has it, by our runtime on torch elsewhere."""

import dataclasses
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import JobSpec
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Trial
from tuning_service.frameworks.base import Preparation, ProgramFiles, framework
from tuning_service.frameworks.commands import split_command
from tuning_service.frameworks.configurations import configurations
from tuning_service.frameworks.program import ProgramManager
from tuning_service.frameworks.prototxt import PATTERN, Flaw, Training, flaw_of, printed
from tuning_service.logs.caffe import SOLVERS
from tuning_service.logs.names import squash
from tuning_service.runner.caffe import COMMAND
from tuning_service.runner.templates import placeholders

_COUNTED = re.compile(r"_\d+$")
# Of `caffe train`; each takes a value.
_OPTIONS = ("solver", "weights", "snapshot", "gpu", "level", "stage", "sigint_effect", "sighup_effect")


@framework
class CaffeManager(ProgramManager):
    """Parameters stand by name in the program's prototxt files, and are replaced by values on the executor.

    A configuration whose net cannot be built is found by its shapes, before it takes a slot.
    """

    name: ClassVar[str] = "caffe"
    summary: ClassVar[str] = (
        "a solver and nets in prototxt, in which parameters stand by name; metrics from Caffe's log"
    )
    inspects: ClassVar[tuple[str, ...]] = (PATTERN,)
    command: ClassVar[str] = "caffe train --solver=solver.prototxt"

    def check(self, spec: JobSpec, program: ProgramFiles) -> None:
        problems: list[FieldProblem] = []
        try:
            super().check(spec, program)
        except InvalidRequest as error:
            problems += error.problems
        found = [] if any(p.field == "command" for p in problems) else list(_command_problems(spec.command))
        if not found and not any(p.field == "command" for p in problems):
            found = list(_program_problems(spec, program))
        problems += found
        if problems:
            raise InvalidRequest(*problems)

    def infeasible(self, spec: JobSpec, program: ProgramFiles, params: Mapping[str, ParamValue]) -> str:
        flaw = flaw_of(_training(split_command(spec.command)), program, _values(spec.space, params))
        return flaw.message if flaw else ""

    def prepare(self, spec: JobSpec, trial: Trial, gpus: Collection[str]) -> Preparation:
        return dataclasses.replace(
            super().prepare(spec, trial, gpus),
            argv=split_command(spec.command),
            templates=self.inspects,
            values=_values(spec.space, trial.params),
            # Of our runtime: the runner asks for them only where there is no caffe.
            modules=("torch", "numpy", "google"),
        )


def _values(space: Space, params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """What is put in the place of each name: an inactive parameter's default."""
    values = {parameter.name: params.get(parameter.name, parameter.default) for parameter in space}
    return {name: value for name, value in values.items() if value is not None}


def _options(words: Sequence[str]) -> dict[str, str | None]:
    """What stands behind each option of `caffe train`: -x 1, --x 1, -x=1, --x=1; None where there is nothing."""
    options: dict[str, str | None] = {}
    rest = list(words[2:])
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        options[name if word.startswith("-") else word] = value if equals else (rest.pop(0) if rest else None)
    return options


def _training(words: Sequence[str]) -> Training:
    options = _options(words)
    level, stages = options.get("level") or "0", options.get("stage") or ""
    return Training(
        solver=posixpath.normpath(options.get("solver") or ""),
        level=int(level) if level.removeprefix("-").isdecimal() else 0,
        stages=tuple(stage for stage in stages.split(",") if stage),
    )


def _command_problems(command: str) -> Iterator[FieldProblem]:
    words = split_command(command)
    if words[:2] != (COMMAND, "train"):
        remedy = f"Write {CaffeManager.command}, or use framework: command for other programs."
        yield FieldProblem(field="command", message="does not begin with: caffe train", remedy=remedy)
        return
    options = _options(words)
    for name, value in options.items():
        if name not in _OPTIONS:
            remedy = f"It has {', '.join('--' + known for known in _OPTIONS)}."
            yield FieldProblem(
                field="command", message=f"has {name}, which is no option of caffe train.", remedy=remedy
            )
        elif not value:
            yield FieldProblem(field="command", message=f"gives --{name} no value.", remedy=f"Write: --{name}=…")
    if "solver" not in options:
        yield FieldProblem(field="command", message="names no solver.", remedy=f"Write: {CaffeManager.command}")


def _program_problems(spec: JobSpec, program: ProgramFiles) -> Iterator[FieldProblem]:
    training = _training(split_command(spec.command))
    if training.solver not in program.names:
        have = ", ".join(sorted(name for name in program.names if name.endswith(".prototxt"))[:10])
        remedy = f"It has {have}." if have else "Put solver and net into the program's folder."
        message = f"names {training.solver}, which is not in the program."
        yield FieldProblem(field="command", message=message, remedy=remedy)
        return
    missing = list(_placeholder_problems(spec.space, program))
    yield from missing
    if not any(problem.field == f"space.{p.name}" for problem in missing for p in spec.space if p.when):
        yield from _flaws(spec, program, training)


def _placeholder_problems(space: Space, program: ProgramFiles) -> Iterator[FieldProblem]:
    """Of names that stand nowhere, and of those that leave a hole when they are inactive."""
    names = [parameter.name for parameter in space]
    places: dict[str, str] = {}
    for file, text in sorted(program.texts.items()):
        for name, line, column in placeholders(text, names):
            places.setdefault(name, f"{file}, line {line}, column {column}")
    for parameter in space:
        field = f"space.{parameter.name}"
        if parameter.name not in places:
            remedy = f"Write {parameter.name}, without quotes, where its value belongs, or take it out of the space."
            yield FieldProblem(field=field, message="stands in none of the program's prototxt files.", remedy=remedy)
        elif parameter.when and parameter.default is None:
            message = f"has no default, which is put in its place ({places[parameter.name]}) while it is not active."
            yield FieldProblem(field=field, message=message, remedy="Give it a default.")


def _flaws(spec: JobSpec, program: ProgramFiles, training: Training) -> Iterator[FieldProblem]:
    """What is wrong for every configuration, as far as trying many of them tells."""
    flaws: list[Flaw] = []
    for params in configurations(spec.space, spec.points):
        flaw = flaw_of(training, program, _values(spec.space, params))
        if flaw is None:
            yield from _metric_problems(spec, printed(training, program, _values(spec.space, params)))
            return
        flaws.append(flaw)
    if flaws:
        # The same for all has nothing to do with the space.
        every = f" None of {len(flaws)} configurations of the space could be trained." if len(set(flaws)) > 1 else ""
        yield FieldProblem(field="program", message=f"{flaws[0].message}.{every}", remedy=flaws[0].remedy)


def _metric_problems(spec: JobSpec, names: Sequence[str]) -> Iterator[FieldProblem]:
    """Of metrics that no training prints: without this, the job's trials would be trained to their ends in vain."""
    if not names or spec.log_patterns or spec.log_files:
        return
    known = {squash(name) for name in names}
    known |= {name.removeprefix("test_") for name in known} - SOLVERS
    for metric in spec.required_metrics:
        # Of an output with several values, the second is …_1.
        if not known.isdisjoint({squash(metric), _COUNTED.sub("", squash(metric))}):
            continue
        field = "objective.metric" if metric in {o.metric for o in spec.objectives} else "metric_constraints"
        remedy = f"A training prints {', '.join(names)}."
        if squash(metric) in SOLVERS:
            remedy += " Without display in the solver, Caffe prints no loss."
        yield FieldProblem(field=field, message=f"{metric} is no output of the nets.", remedy=remedy)
