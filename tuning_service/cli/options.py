"""Options that several commands share."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tuning_service.client import TuningClient

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="TUNING_URL", help="Where the service is. [default: http://127.0.0.1:8765]"),
]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="TUNING_API_KEY", help="API key; better in the environment than on a command line."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print plain JSON for scripts, and nothing else.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, as `tuning-service list` shows it.")]

Options = Mapping[str, Any]  # name to annotated type, each optional
Given = dict[str, Any]

_Command = Callable[..., None]


def takes(options: Options) -> Callable[[_Command], _Command]:
    """Decorator: a command's parameter `given` stands for all of `options`, and holds those that were used, by name."""

    def decorate(command: _Command) -> _Command:
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == "given":
                parameters += [
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
                    for name, annotation in options.items()
                ]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        @functools.wraps(command)
        def called(**values: Any) -> None:
            used = {name: value for name in options if (value := values.pop(name)) is not None}
            command(given=used, **values)

        # What typer reads a command's options from.
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return decorate


def finite(value: float | None) -> float | None:
    """The value of an option, which JSON can write. Raises BadParameter for nan and inf."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a number is needed, not {value}")
    return value


def number_or_none(text: str, name: str) -> float | None:
    """The value of the option for the field `name`: None for "none". Raises BadParameter for what is no number."""
    if text.lower() == "none":
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"--{name.replace('_', '-')} takes a number or 'none', not {text!r}")
    return int(number) if number.is_integer() else number


def connect(url: str | None, key: str | None) -> "TuningClient":
    """A client for the service that the options name."""
    from tuning_service.client import TuningClient

    return TuningClient(url, key)
