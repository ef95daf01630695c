"""Where metrics of a job are looked for, in the order in which they count: see `runner/sources.py`."""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from tuning_service.domain.errors import FieldProblem
from tuning_service.domain.job import JobSpec

_MOST_PATTERNS = 10


def sources(spec: JobSpec) -> list[dict[str, str]]:
    """For `sources` of what `log_parser` gives.

    The files of the older product's scripts are the result wherever they are written. What the job names goes before
    what the program prints, and that before what is merely found: a program that wrote TensorBoard files all along
    must not get other results for it.
    """
    return [
        {"kind": "val_dict_list", "path": "**/val_dict_list.json"},
        {"kind": "evaluation_metrics", "path": "**/evaluation-metrics.txt"},
        *({"kind": "text", "path": pattern} for pattern in spec.log_files),
        {"kind": "output"},
        {"kind": "tensorboard", "path": "**/*tfevents*"},
    ]


def log_file_problems(patterns: Sequence[str]) -> list[FieldProblem]:
    """What is wrong with `log_files`; empty when nothing is."""
    problems = []
    if len(patterns) > _MOST_PATTERNS:
        remedy = f"Use {_MOST_PATTERNS} at most."
        problems.append(FieldProblem(field="log_files", message=f"has {len(patterns)} entries.", remedy=remedy))
    for index, pattern in enumerate(patterns):
        message = _problem(pattern, patterns[:index])
        if message:
            remedy = "Write a path below the program's folder, as in: logs/*.log"
            problems.append(FieldProblem(field=f"log_files.{index}", message=f"{message}.", remedy=remedy))
    return problems


def _problem(pattern: str, before: Collection[str]) -> str:
    parts = PurePosixPath(pattern).parts
    if not pattern.strip() or not parts:
        return "is empty"
    if not pattern.isprintable():
        return f"{pattern!r} has a character that no path should have"
    if pattern.startswith(("/", "~")):
        return f"{pattern!r} is no relative path"
    if ".." in parts:
        return f"{pattern!r} leads outside the program's folder"
    return f"{pattern!r} is listed twice" if pattern in before else ""
