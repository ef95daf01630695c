"""/v1/tasks: what runners ask for. The busiest routes, so they are plain functions without the framework's help.

Each request carries the token of its task instead of an API key. See `runner/protocol.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

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


def runner_routes(desk: TaskDesk, metrics: Metrics) -> list[BaseRoute]:
    """The three routes. They are not in the OpenAPI document, which is for people."""

    def claim(task_id: str, token: str, data: Mapping[str, Any]) -> tuple[int, bytes]:
        answer = desk.claim(task_id, token, Claim.from_json(data))
        if isinstance(answer, Park):
            return 202, orjson.dumps(answer.to_json())
        metrics.claims.inc()
        return 200, orjson.dumps(plan_to_json(answer))

    def report(task_id: str, token: str, data: Mapping[str, Any]) -> tuple[int, bytes]:
        told = Report.from_json(data)
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
        Route("/v1/tasks/{task_id}/claim", _answering(claim), methods=["POST"]),
        Route("/v1/tasks/{task_id}/report", _answering(report), methods=["POST"]),
        Route("/v1/tasks/{task_id}/program", program, methods=["GET"]),
    ]


def _answering(work: Callable[[str, str, Mapping[str, Any]], tuple[int, bytes]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if not _token(request):
            raise Unauthenticated("A task's token is needed.")
        body = await request.body()
        try:
            data = orjson.loads(body)
            status, answer = await anyio.to_thread.run_sync(work, request.path_params["task_id"], _token(request), data)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            return malformed(request.scope, f"{type(error).__name__}: {error}.")
        return Response(answer, status_code=status, media_type="application/json")

    return endpoint


def _token(request: Request) -> str:
    token = presented_key(request.headers)
    return token if token.isascii() else ""
