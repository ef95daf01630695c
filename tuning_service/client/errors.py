"""What the client raises."""

from collections.abc import Mapping
from typing import Any


class TuningApiError(Exception):
    """The service refused a request. `str()` of it lists each field, what is wrong and the remedy."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        """`problem` is the problem document (RFC 9457) of the answer; `status` 0: there was no answer."""
        self.status = status
        self.problem = problem
        self.errors: list[dict[str, str]] = list(problem.get("errors", ()))
        super().__init__(self._text())

    def _text(self) -> str:
        if self.errors:
            lines = (f"{e['field']}: {e['message']} {e.get('remedy', '')}".rstrip() for e in self.errors)
            return "\n".join(lines)
        text = str(self.problem.get("detail") or self.problem.get("title") or f"HTTP status {self.status}")
        if self.status >= 500 and self.problem.get("request_id"):
            text += f" (request {self.problem['request_id']})"
        return text


class ServiceUnreachable(TuningApiError):
    """No answer came, however often the request was sent."""

    def __init__(self, url: str, reason: str) -> None:
        detail = f"The service at {url} cannot be reached: {reason}"
        super().__init__(0, {"title": "The service cannot be reached", "detail": detail})


class BadJobFile(TuningApiError):
    """What was to be sent, a job file mostly, cannot be; nothing was."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(422, {"errors": [{"field": field, "message": message, "remedy": remedy}]})
