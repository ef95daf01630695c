"""What happens to every request before a route sees it: an id, a log line, metrics, its sender, its size."""

import logging
import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuning_service.api.errors import internal_error, problem_response
from tuning_service.api.metrics import Metrics
from tuning_service.api.senders import Senders
from tuning_service.domain.errors import FieldProblem, InvalidRequest, NotFound, TooLarge, TuningError
from tuning_service.manager.plugin_mgr import MAX_BYTES
from tuning_service.manager.quotas import RequestLimiter

log = structlog.stdlib.get_logger("tuning_service.api")

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
TASK_PATHS = "/v1/tasks/"  # their requests carry a task's token, which TaskDesk checks
PROGRAM_PATH = "/v1/programs"
PLUGIN_PATH = "/v1/plugins"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_JSON_LIMIT = 4 * 2**20
_REPORT_LIMIT = 32 * 2**20
_FORM_OVERHEAD = 64 * 1024  # boundaries and headers of a multipart upload
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Observed:
    """Gives each request an id, logs it, counts it, and answers 500 when something unexpected is raised."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        made: dict[str, str] = {}  # the job that this request has made, for its line in the log
        began = time.perf_counter()

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                made.update(_named(headers.get("location", "")))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id, **_named(scope["path"])):
            self._metrics.open_requests.inc()
            try:
                await self._app(scope, receive, observed_send)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if status:
                    raise  # the answer has begun: the server cuts the connection, so that nobody takes it for whole
                await internal_error(scope)(scope, receive, observed_send)
            finally:
                self._metrics.open_requests.dec()
                self._account(scope, status, time.perf_counter() - began, made)

    def _account(self, scope: Scope, status: int, seconds: float, made: dict[str, str]) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        if scope["path"].startswith(TASK_PATHS) and "endpoint" in scope:  # plain routes leave no trace of themselves
            route = f"{TASK_PATHS}{{task_id}}/{_task_route(scope['path'])}"
        # A method is the sender's free text; an unknown one must not become a label of its own.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        if not scope["state"].get("stream"):
            self._metrics.latency.labels(method, route).observe(seconds)
        # Whoever watches a job asks twice a second, runners report as often: requests that change nothing of the
        # tenant's are counted, and logged when they fail.
        quiet = status < 400 and (scope["method"] in {"GET", "HEAD"} or scope["path"].startswith(TASK_PATHS))
        level = logging.DEBUG if quiet else logging.INFO if status < 500 else logging.WARNING
        log.log(
            level,
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(1000 * seconds, 1),
            **({"tenant": scope["state"]["tenant"]} if "tenant" in scope["state"] else {}),
            **made,
        )


def _task_route(path: str) -> str:
    """What of a task a runner's path is about: "report", say, or "artifacts", whichever."""
    return path.removeprefix(TASK_PATHS).partition("/")[2].partition("/")[0]


def _named(path: str) -> dict[str, str]:
    """The job, trial and task that a path names."""
    parts = path.split("/")
    names: dict[str, str] = {}
    if len(parts) > 3 and parts[2] == "tuning-jobs" and parts[3] != "preview":
        names["job"] = parts[3]
        if len(parts) > 5 and parts[4] == "trials":
            names["trial"] = parts[5]
    elif len(parts) > 3 and parts[2] == "tasks":
        names["task"] = parts[3]
    return names


class Entrance:
    """Lets in who has a valid key or session, and no body that is larger than the route takes."""

    def __init__(self, app: ASGIApp, senders: Senders, max_upload_bytes: int, artifact_limit_bytes: int) -> None:
        self._app = app
        self._senders = senders
        self._max_upload_bytes = max_upload_bytes
        self._artifact_limit_bytes = artifact_limit_bytes
        self._limiter = RequestLimiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _check_characters(scope)
            headers = Headers(scope=scope)
            if scope["path"] not in OPEN_PATHS and not scope["path"].startswith(TASK_PATHS):
                await self._admit(scope, headers)
            bounded = self._bounded(scope["path"], headers, receive)
        except TuningError as error:
            await problem_response(scope, error)(scope, receive, send)
            return
        await self._app(scope, bounded, send)

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        principal = await self._senders.identify(scope, headers)
        if principal is not None and principal.tenant is not None:
            self._limiter.check(principal.tenant)
            scope["state"]["tenant"] = principal.tenant.id
            # Unbound by the server, which runs each request in a context of its own.
            structlog.contextvars.bind_contextvars(tenant=principal.tenant.id)

    def _bounded(self, path: str, headers: Headers, receive: Receive) -> Receive:
        limit = _JSON_LIMIT
        if path == PROGRAM_PATH:
            limit = self._max_upload_bytes + _FORM_OVERHEAD
        elif path == PLUGIN_PATH:
            limit = MAX_BYTES + _FORM_OVERHEAD
        elif path.startswith(TASK_PATHS):
            limit = self._artifact_limit_bytes if _task_route(path) == "artifacts" else _REPORT_LIMIT
        too_large = TooLarge(f"The body of this request may have at most {limit} bytes.")
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limit:
            raise too_large
        seen = 0

        async def bounded_receive() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise too_large
            return message

        return bounded_receive


def _check_characters(scope: Scope) -> None:
    """No database stores NUL, and PostgreSQL refuses to even look for it."""
    if "\x00" in scope["path"]:
        raise NotFound
    if b"%00" in scope["query_string"]:
        raise InvalidRequest(
            FieldProblem(field="query", message="holds a NUL character.", remedy="Remove '%00' from the address.")
        )
