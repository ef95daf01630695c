"""Options that most commands share."""

import math
from typing import TYPE_CHECKING, Annotated

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


def finite(value: float | None) -> float | None:
    """The value of an option, which JSON can write. Raises BadParameter for nan and inf."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a number is needed, not {value}")
    return value


def connect(url: str | None, key: str | None) -> "TuningClient":
    """A client for the service that the options name."""
    from tuning_service.client import TuningClient

    return TuningClient(url, key)
