"""Errors, named by what the caller can do about them. Only `message` and `problems` ever reach a user."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One thing wrong with one field of a request.

    `field` is the dotted path as the user wrote it (`space.lr.min`), `message` says what is wrong and
    `remedy` what to write instead.
    """

    field: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" + (f" {self.remedy}" if self.remedy else "")


class TuningError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None, *, detail: str = "") -> None:
        """`message` is shown to the user; `detail` goes to the service's own log only."""
        self.message: str = message or (type(self).__doc__ or "").strip()
        self.detail = detail
        super().__init__(self.message)


class InvalidRequest(TuningError):
    """The request cannot be accepted as written."""

    def __init__(self, *problems: FieldProblem, message: str | None = None) -> None:
        self.problems = problems
        super().__init__(message or "; ".join(map(str, problems)) or None)


class Unauthenticated(TuningError):
    """A valid API key is needed, sent as 'Authorization: Bearer <key>', or a session."""


class Denied(TuningError):
    """The role does not allow that."""


class OverQuota(TuningError):
    """The tenant's quota does not allow that."""


class NotFound(TuningError):
    """No such object, or it belongs to somebody else."""


class Conflict(TuningError):
    """The object is not in a state that allows this."""


class TooLarge(TuningError):
    """The upload is larger than this service accepts."""


class NotText(TuningError):
    """What was asked for as a text is none."""


class TryAgain(TuningError):
    """The service cannot do this right now; the same request may succeed later."""

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0, detail: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, detail=detail)


class TooManyRequests(TryAgain):
    """More requests come than are allowed."""


class LeaseLost(TuningError):
    """Another controller drives this job now; drop what is in memory and do not write."""


class GiveUp(TuningError):
    """This will not succeed however often it is tried."""
