"""What a log file says to the service's parsers, without a service: logs explain."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from typer.core import TyperGroup

from tuning_service.cli import exits, output
from tuning_service.cli.options import AsJson
from tuning_service.domain.texts import counted

_CHUNK = 2**16
_SHOWN = 60  # characters of a line
_BINARY = (
    "This file is no text. What is shown is what a program that printed it would give. TensorBoard's event files need "
    "no explanation here: trials read them by themselves, and list what each of them gave."
)


class LogsGroup(TyperGroup):
    """`logs JOB` is short for `logs show JOB`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["show", *args])


def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A log file; - reads standard input.")],
    framework: Annotated[
        str, typer.Option(help="Framework of the program: command, pytorch, tensorflow or caffe.")
    ] = "command",
    metric: Annotated[list[str] | None, typer.Option(help="A metric that the job would name; may be repeated.")] = None,
    pattern: Annotated[
        list[str] | None, typer.Option(help="A pattern as in log_patterns of the job file; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the service reads from a log file, and why a metric is not found. Exits with 1 when one is not.

    Needs no service. Metrics, steps and formats are those that a trial with this output would have.
    """
    from tuning_service.domain.errors import FieldProblem, InvalidRequest
    from tuning_service.logs import FORMATS_FOR, build_parser, check_pattern

    if framework not in FORMATS_FOR:
        problem = FieldProblem(
            field="--framework", message=f"{framework!r} is not known.", remedy=f"Known: {', '.join(FORMATS_FOR)}."
        )
        raise InvalidRequest(problem)
    for number, text in enumerate(pattern or []):
        try:
            check_pattern(text)
        except ValueError as error:
            raise InvalidRequest(FieldProblem(field=f"--pattern {number + 1}", message=f"{error}.")) from error
    metrics = list(dict.fromkeys(metric or []))
    parser = build_parser({"formats": FORMATS_FOR[framework], "patterns": pattern or [], "metrics": metrics})
    size, lines, binary = _read(file, parser)
    found = parser.found()
    missing = [name for name in metrics if name not in {item.metric for item in found}]
    if as_json:
        output.print_json(_document(file, framework, size, lines, found, {m: parser.explain(m) for m in missing}))
    else:
        _show(file, framework, size, lines, found)
        if binary:
            output.say(f"\n{_BINARY}")
        for name in missing:
            output.say(f"\n{parser.explain(name)}")
    if missing:
        raise typer.Exit(exits.JOB_FAILED)


def _read(file: str, parser: Any) -> tuple[int, int, bool]:
    """Hand the whole file to the parser; its size in bytes and in lines, and whether it begins like no text."""
    if file == "-":
        return _feed(sys.stdin.buffer, parser)
    from tuning_service.domain.errors import FieldProblem, InvalidRequest

    try:
        with Path(file).open("rb") as stream:
            return _feed(stream, parser)
    except OSError as error:
        problem = FieldProblem(
            field="FILE", message=f"{file} cannot be read: {error.strerror}.", remedy="Name a log file."
        )
        raise InvalidRequest(problem) from error


def _feed(stream: BinaryIO, parser: Any) -> tuple[int, int, bool]:
    from tuning_service.logs import LineSplitter, LogParser

    splitter = LineSplitter(LogParser.MAX_LINE)
    size = lines = 0
    binary = False
    while data := stream.read(_CHUNK):
        binary = binary or (not size and b"\0" in data[:4096])
        size += len(data)
        lines += data.count(b"\n")
        parser.feed_lines(list(splitter.feed(data)))
    for line in splitter.finish():
        lines += 1
        parser.feed(line)
    parser.finish()
    return size, lines, binary


def _show(file: str, framework: str, size: int, lines: int, found: Sequence[Any]) -> None:
    name = "Standard input" if file == "-" else file
    output.say(
        f"{name}: {counted(lines, 'line')}, {counted(size, 'byte')}, read as the output of a {framework} program.\n"
    )
    columns = ("metric", "values", "steps", "first", "last", "least", "greatest", "format", "first read in")
    rows = (
        (
            *(item.metric, str(item.count), _steps(item), item.first.value, item.last.value),
            *(item.least, item.greatest, ", ".join(item.forms), _cut(item.sample)),
        )
        for item in found
    )
    output.table(columns, rows, "No metric was read.")


def _steps(item: Any) -> str:
    first, last = item.first.step, item.last.step
    return str(first) if first == last else f"{first}-{last}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _document(
    file: str, framework: str, size: int, lines: int, found: Sequence[Any], missing: dict[str, str]
) -> output.JsonDict:
    def reading(item: Any) -> output.JsonDict:
        return {"step": item.step, "value": _plain(item.value), "time": item.time_s}

    metrics = [
        {
            "metric": item.metric,
            "values": item.count,
            "first": reading(item.first),
            "last": reading(item.last),
            "least": _plain(item.least),
            "greatest": _plain(item.greatest),
            "formats": list(item.forms),
            "first_read_in": item.sample,
        }
        for item in found
    ]
    return {
        "file": file,
        "framework": framework,
        "bytes": size,
        "lines": lines,
        "metrics": metrics,
        "not_found": missing,
    }


def _plain(value: float) -> float | str:
    """JSON has no word for nan and inf: they are texts, as in the service's answers."""
    return value if abs(value) < float("inf") else str(value)
