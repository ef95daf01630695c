"""Exit codes, and errors in words."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

OK, JOB_FAILED, INVALID, DENIED, NOT_FOUND, CONFLICT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
TABLE = """Exit codes: 0 all went well · 1 the job failed or was stopped (submit --watch, show --exit-code), a check
failed, or the service could not start or answered with a fault of its own · 2 wrong usage or an invalid request · 3 no
valid key, or it does not allow that · 4 no such object · 5 the object's state does not allow it · 6 the service cannot
be reached or is not ready · 130 interrupted"""
_BY_STATUS = {
    0: UNREACHABLE,
    400: INVALID,
    401: DENIED,
    403: DENIED,
    404: NOT_FOUND,
    409: CONFLICT,
    410: NOT_FOUND,
    413: INVALID,
    422: INVALID,
    429: UNREACHABLE,
    503: UNREACHABLE,
}

_ADVICE = {
    0: "Is it running there? TUNING_URL or --url names another address; tuning-service serve starts one here.",
    401: "Set TUNING_API_KEY to a key, or give --key; tuning-service key create makes one.",
}


class Commands(TyperGroup):
    """Turns errors that users can do something about into lines on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code = _explained(error)
            if code is None:
                raise
            raise typer.Exit(code) from error


def _explained(error: Exception) -> int | None:
    """The exit code for `error`, whose message has been printed; None when it is a defect of ours."""
    # Loaded here, so that --help does not wait for them.
    from tuning_service.client.errors import TuningApiError
    from tuning_service.domain.errors import InvalidRequest, TryAgain, TuningError

    if isinstance(error, TuningApiError):
        _complain(str(error))
        if error.status in _ADVICE:
            _complain(_ADVICE[error.status])
        return _BY_STATUS.get(error.status, JOB_FAILED)
    if isinstance(error, InvalidRequest):
        _complain("\n".join(map(str, error.problems)) or error.message)
        return INVALID
    if isinstance(error, TuningError):
        _complain(error.message)
        return UNREACHABLE if isinstance(error, TryAgain) else JOB_FAILED
    # A port that is in use, a folder that cannot be written. A closed pipe is the shell's business.
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        _complain(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return JOB_FAILED
    return None


def _complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # what a command line is for
