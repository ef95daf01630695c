"""/v1/tasks: what runners ask for. The busiest routes, so they are plain functions without the framework's help.

Each request carries the token of its task instead of an API key. See `runner/protocol.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio.to_thread
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tuning_service.api.errors import malformed
from tuning_service.api.metrics import Metrics
from tuning_service.api.senders import presented_key
from tuning_service.domain.errors import Unauthenticated
from tuning_service.manager.task_desk import TaskDesk
from tuning_service.runner.protocol import Claim, Park, Report, plan_to_json

Endpoint = Callable[[Request], Awaitable[Response]]
Told = TypeVar("Told", Claim, Report)


def runner_routes(desk: TaskDesk, metrics: Metrics) -> list[BaseRoute]:
    """The three routes. They are not in the OpenAPI document, which is for people."""

    def claim(task_id: str, token: str, told: Claim) -> tuple[int, bytes]:
        answer = desk.claim(task_id, token, told)
        if isinstance(answer, Park):
            return 202, orjson.dumps(answer.to_json())
        metrics.claims.inc()
        return 200, orjson.dumps(plan_to_json(answer))

    def report(task_id: str, token: str, told: Report) -> tuple[int, bytes]:
        answer = desk.report(task_id, token, told)
        metrics.reports.inc()
        metrics.measurements.inc(len(told.measurements))
        if told.outcome is not None:
            metrics.outcomes.labels(str(told.outcome.status)).inc()
        return 200, orjson.dumps(answer.to_json())

    async def program(request: Request) -> Response:
        data = await anyio.to_thread.run_sync(desk.program, request.path_params["task_id"], _token(request))
        return Response(data, media_type="application/octet-stream")

    return [
        Route("/v1/tasks/{task_id}/claim", _answering(desk, Claim.from_json, claim), methods=["POST"]),
        Route("/v1/tasks/{task_id}/report", _answering(desk, Report.from_json, report), methods=["POST"]),
        Route("/v1/tasks/{task_id}/program", program, methods=["GET"]),
    ]


def _answering(
    desk: TaskDesk, read: Callable[[Mapping[str, Any]], Told], work: Callable[[str, str, Told], tuple[int, bytes]]
) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        task_id, token = request.path_params["task_id"], _token(request)
        desk.check_token(task_id, token)  # before its body, which may be large, is taken from a stranger
        body = await request.body()
        try:
            told = read(orjson.loads(body))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            return malformed(request.scope, f"{type(error).__name__}: {error}.")
        status, answer = await anyio.to_thread.run_sync(work, task_id, token, told)
        return Response(answer, status_code=status, media_type="application/json")

    return endpoint


def _token(request: Request) -> str:
    token = presented_key(request.headers)
    if not token or not token.isascii():
        raise Unauthenticated("A task's token is needed.")
    return token
