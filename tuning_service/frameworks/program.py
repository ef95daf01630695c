"""What managers of ordinary programs have in common: parameters on the command line, thread counts, customary logs."""

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import Arguments, JobSpec
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.trial import Trial
from tuning_service.frameworks.base import Preparation, ProgramFiles, TuningFrameworkMgr
from tuning_service.frameworks.commands import command_problems, split_command
from tuning_service.frameworks.sources import log_file_problems, sources
from tuning_service.logs import FORMATS_FOR, check_pattern

PARAMETER_FILE = "params.json"
MERGED_FILE = "config.json"  # where scripts of the older product read them, beside what they keep there themselves
_MOST_PATTERNS = 20
# What the numeric libraries under the frameworks ask for how many threads they may have.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class ProgramManager(TuningFrameworkMgr):
    """A program gets its parameters after its command, in `params.json` and `config.json`, and in its environment."""

    def check(self, spec: JobSpec, program: ProgramFiles) -> None:
        problems = [
            *command_problems(spec.command, program.names),
            *_place_problems(program.names),
            *_pattern_problems(spec.log_patterns),
            *log_file_problems(spec.log_files),
        ]
        if problems:
            raise InvalidRequest(*problems)

    def prepare(self, spec: JobSpec, trial: Trial, gpus: Collection[str]) -> Preparation:
        del gpus  # the runner makes them visible; an ordinary program needs no more
        threads = dict.fromkeys(THREAD_VARIABLES, str(spec.resources.cpus))
        parameters = {f"TUNING_PARAM_{name.upper()}": text(value) for name, value in trial.params.items()}
        return Preparation(
            argv=(*split_command(spec.command), *written_arguments(trial.params, spec.arguments)),
            environment=threads | parameters,
            files={PARAMETER_FILE: json.dumps(dict(trial.params), indent=2) + "\n"},
            merged={MERGED_FILE: dict(trial.params)},
        )

    def log_parser(self, spec: JobSpec) -> Mapping[str, Any]:
        return {
            "formats": list(FORMATS_FOR.get(self.name, FORMATS_FOR["command"])),
            "patterns": list(spec.log_patterns),
            "metrics": list(spec.metrics),
            "sources": sources(spec),
        }


def text(value: ParamValue) -> str:
    """`value` as a program reads it: true and false, numbers that read back the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    written = repr(value) if isinstance(value, float) else str(value)
    # argparse takes -1e-05 for an option, and -0.00001 for a number.
    return format(Decimal(written), "f") if isinstance(value, float) and value < 0 else written


def written_arguments(params: Mapping[str, ParamValue], form: Arguments) -> tuple[str, ...]:
    """The words that tell `params` after a command."""
    if form is Arguments.NONE:
        return ()
    arguments: list[str] = []
    for name, value in params.items():
        written = text(value)
        option = f"--{name.replace('_', '-') if form is Arguments.DASHES else name}"
        if form is Arguments.PAIRS:
            arguments.append(f"{name}={written}")
        elif isinstance(value, str) and written.startswith("-"):
            arguments.append(f"{option}={written}")  # or it would be taken for an option itself
        else:
            arguments += [option, written]
    return tuple(arguments)


def _place_problems(names: Collection[str]) -> list[FieldProblem]:
    if not any(name.startswith(f"{PARAMETER_FILE}/") for name in names):
        return []
    message = f"has a folder {PARAMETER_FILE}, where the file with a trial's parameters goes."
    return [FieldProblem(field="program", message=message, remedy="Give the folder another name.")]


def _pattern_problems(patterns: Collection[str]) -> list[FieldProblem]:
    problems = []
    if len(patterns) > _MOST_PATTERNS:
        remedy = f"Use {_MOST_PATTERNS} at most."
        problems.append(FieldProblem(field="log_patterns", message=f"has {len(patterns)} patterns.", remedy=remedy))
    for index, pattern in enumerate(patterns):
        try:
            check_pattern(pattern)
        except ValueError as error:
            problems.append(FieldProblem(field=f"log_patterns.{index}", message=f"{error}."))
    return problems
