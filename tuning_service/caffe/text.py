"""Prototxt read through protobuf's text format; what was written for older versions is brought up to date."""

import re
from typing import Any

from google.protobuf import text_format

from tuning_service.caffe import upgrade
from tuning_service.caffe.schema import NetParameter, SolverParameter

_PLACE = re.compile(r"^(?:\d+:\d+ : )?(?:'.*': )?(.*)$", re.DOTALL)
_LONGEST = 300


class PrototxtError(ValueError):
    """A text that is no net or no solver; `line` and `column` count from 1 and are 0 where all of it is wrong."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"line {line}, column {column}: {problem}" if line else problem)
        self.problem = problem
        self.line = line
        self.column = column


def read_net(text: str) -> Any:
    """The NetParameter that `text` describes, in today's form: `layers` and `input` are turned into `layer`.

    Raises:
        PrototxtError: with line and column.
    """
    net = NetParameter()
    _parse(text, net)
    _upgrade(upgrade.upgrade_net, net)
    return net


def read_solver(text: str) -> Any:
    """The SolverParameter that `text` describes, nets inside it included, with `type` also where it has `solver_type`.

    Raises:
        PrototxtError: with line and column.
    """
    solver = SolverParameter()
    _parse(text, solver)
    _upgrade(upgrade.upgrade_solver, solver)
    return solver


def write_text(message: Any) -> str:
    """`message` as prototxt."""
    return str(text_format.MessageToString(message))


def _parse(text: str, message: Any) -> None:
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise PrototxtError(_problem(str(error)), error.GetLine() or 0, error.GetColumn() or 0) from error
    except (ValueError, RecursionError) as error:  # a number out of its range, say
        raise PrototxtError(_problem(str(error))) from error


def _upgrade(step: Any, message: Any) -> None:
    try:
        step(message)
    except ValueError as error:
        raise PrototxtError(str(error)) from error


def _problem(text: str) -> str:
    found = _PLACE.match(text)
    problem = (found[1] if found else text).strip().rstrip(".")
    problem = problem.replace("tuning_service.caffe.", "")[:_LONGEST]
    # A byte order mark, say, would not be seen.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in problem)
