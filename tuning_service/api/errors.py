"""The only map from errors to HTTP: RFC 9457 problem documents."""

import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, get_args

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from tuning_service.domain.errors import (
    Conflict,
    Denied,
    FieldProblem,
    GiveUp,
    InvalidRequest,
    LeaseLost,
    NotFound,
    NotText,
    OverQuota,
    TooLarge,
    TooManyRequests,
    TryAgain,
    TuningError,
    Unauthenticated,
)
from tuning_service.manager.job_file import problems_from
from tuning_service.runner.protocol import number_to_json

log = structlog.stdlib.get_logger("tuning_service.api")

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:tuning-service:problem:"

# (status, last part of the problem's type, title)
_KINDS: dict[type[TuningError], tuple[int, str, str]] = {
    InvalidRequest: (422, "invalid-request", "The request cannot be accepted as written"),
    Unauthenticated: (401, "unauthenticated", "A valid API key or session is needed"),
    Denied: (403, "denied", "This is not allowed"),
    OverQuota: (403, "over-quota", "The tenant's quota does not allow that"),
    NotFound: (404, "not-found", "Not found"),
    Conflict: (409, "conflict", "The object's state does not allow this"),
    TooLarge: (413, "too-large", "Too large"),
    NotText: (415, "not-text", "Not a text"),
    TooManyRequests: (429, "too-many-requests", "More requests than are allowed"),
    TryAgain: (503, "try-again", "Try again later"),
    LeaseLost: (503, "try-again", "Try again later"),
    GiveUp: (410, "gone", "Not needed any more"),
}
_SECRET = {"key", "password", "old_password", "new_password"}
_INTERNAL = (500, "internal", "Something went wrong in the service")


def status_of(error: TuningError) -> int:
    """The status of the answer to a request that raised `error`."""
    return _kind_of(error)[0]


def _kind_of(error: TuningError) -> tuple[int, str, str]:
    return next((_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS), _INTERNAL)


def problem_response(scope: Scope, error: TuningError) -> Response:
    """The answer to a request that raised `error`."""
    status, kind, title = _kind_of(error)
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooLarge):
        # Else the server would go on to read, and drop, all that the client still has to send.
        headers["Connection"] = "close"
    if isinstance(error, TryAgain):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    detail = error.message if status < 500 or isinstance(error, TryAgain) else ""
    return _document(scope, status, kind, title, detail, problems, headers)


def internal_error(scope: Scope) -> Response:
    """The answer when something unexpected was raised: no details, but the id under which the log has them."""
    return _document(scope, *_INTERNAL, "The service's log has the details under this request_id.")


def _document(
    scope: Scope,
    status: int,
    kind: str,
    title: str,
    detail: str,
    problems: Iterable[FieldProblem] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": _TYPE_PREFIX + kind,
        "title": title,
        "status": status,
        "detail": detail or title,
        "instance": scope.get("path", ""),
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    errors = [{"field": p.field, "message": p.message, "remedy": p.remedy} for p in problems]
    if errors:
        body["errors"] = errors
    # "replace": what a user sent may hold halves of surrogate pairs, which are quoted in messages.
    content = orjson.dumps(storable(body))
    return Response(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def storable(value: Any) -> Any:
    """`value` as JSON can be written: without halves of surrogate pairs, "nan" and "inf" as texts."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return number_to_json(value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


async def _on_tuning_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TuningError)
    if error.detail:
        log.warning("request refused", reason=error.message, detail=error.detail)
    return problem_response(request.scope, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, TuningError):
        # Raised while the body was read; the framework makes a plain 400 of whatever happens there.
        return problem_response(request.scope, error.__cause__)
    title = HTTPStatus(error.status_code).phrase
    kind = title.lower().replace(" ", "-")
    detail = str(error.detail) if error.detail != title else ""
    return _document(request.scope, error.status_code, kind, title, detail, headers=dict(error.headers or {}))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    broken = next((item for item in errors if item["type"] == "json_invalid"), None)
    if broken is not None:
        message = f"is not JSON: {broken['ctx']['error']} at character {broken['loc'][-1]}."
        problem = FieldProblem(field="body", message=message, remedy="Correct it there.")
        return _document(request.scope, 400, "malformed", "The request cannot be read", str(problem), [problem])
    for item in errors:
        place, *names = item["loc"]
        if _SECRET & set(map(str, names)):
            item["input"] = "a secret"  # which the answer does not quote
        if names:  # ("query", "status", 0): the user wrote the second
            item["loc"] = names if place == "body" else names[:1]
    return problem_response(request.scope, InvalidRequest(*problems_from(errors, _body_model(request))))


def _body_model(request: Request) -> type[BaseModel]:
    """The model of the route's body, whose fields a misspelled one is compared with."""
    annotations = getattr(request.scope.get("endpoint"), "__annotations__", {}).values()
    for model in (part for annotation in annotations for part in (annotation, *get_args(annotation))):
        if isinstance(model, type) and issubclass(model, BaseModel):
            return model
    return BaseModel


def malformed(scope: Scope, message: str) -> Response:
    """The answer to a body that does not have the form that the protocol of runners prescribes."""
    problem = FieldProblem(field="body", message=message, remedy="See tuning_service/runner/protocol.py.")
    return _document(scope, 400, "malformed", "The request cannot be read", str(problem), [problem])


def install(app: FastAPI) -> None:
    """Make `app` answer errors with problem documents."""
    app.add_exception_handler(TuningError, _on_tuning_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


class FieldError(BaseModel):
    field: str
    message: str
    remedy: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] | None = None


_EXAMPLES: dict[int, tuple[str, TuningError]] = {
    401: ("No key or session, or one that is unknown, revoked or expired", Unauthenticated()),
    403: ("The role does not allow this", Denied("This needs the role member; yours is viewer.")),
    404: ("No such object, or another tenant's", NotFound("There is no tuning job 'job_01'.")),
    409: ("The object is not in a state that allows this", Conflict("This job has completed.")),
    413: ("The upload is too large", TooLarge()),
    429: ("Too many requests; Retry-After says when the next is welcome", TooManyRequests()),
    415: ("What was asked for as a text is none", NotText("model.bin is no text in UTF-8.")),
    422: (
        "A field is wrong; `errors` names each",
        InvalidRequest(
            FieldProblem(field="space.lr.min", message="min 0.3 is greater than max 0.0001.", remedy="Swap them.")
        ),
    ),
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these statuses, and of 401, which every route may answer."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, *statuses}):
        description, error = _EXAMPLES[status]
        body = problem_response({"path": "/v1/tuning-jobs", "state": {"request_id": "5f0c2b7e"}}, error).body
        described[status] = {
            "description": description,
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": orjson.loads(bytes(body))}
            },
        }
    return described


__all__ = [
    "Problem",
    "install",
    "internal_error",
    "malformed",
    "problem_response",
    "responses",
    "status_of",
    "storable",
]
