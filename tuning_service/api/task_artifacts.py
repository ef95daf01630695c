"""/v1/tasks/{task}/artifacts: the files that trainings leave, sent by runners with their task's token."""

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tuning_service.api.errors import malformed
from tuning_service.api.senders import presented_key
from tuning_service.domain.errors import Unauthenticated
from tuning_service.manager.artifact_desk import ArtifactDesk

_PIECE = 2**20  # what is handed to a thread at a time


def artifact_routes(desk: ArtifactDesk) -> list[BaseRoute]:
    """Two routes, beside those of `runner_routes`."""

    async def room(request: Request) -> Response:
        found = await anyio.to_thread.run_sync(desk.room, request.path_params["task_id"], _token(request))
        return _json({"bytes": found.bytes, "files": found.files, "why": found.why})

    async def put(request: Request) -> Response:
        token = _token(request)
        length = request.headers.get("content-length", "")
        if not length.isdecimal():
            return malformed(request.scope, "A Content-Length is needed.")
        place = request.path_params
        upload = await anyio.to_thread.run_sync(desk.begin, place["task_id"], token, place["path"], int(length))
        try:
            await _taken(request, upload.write)
            stored = await anyio.to_thread.run_sync(upload.keep)
        except BaseException:
            # Also when the runner went away, or the server is about to end.
            upload.drop()  # in no thread: a request that is cancelled can wait for none
            raise
        return _json({"path": stored.path, "bytes": stored.bytes, "sha256": stored.sha256})

    return [
        Route("/v1/tasks/{task_id}/artifacts", room, methods=["GET"]),
        Route("/v1/tasks/{task_id}/artifacts/{path:path}", put, methods=["PUT"]),
    ]


async def _taken(request: Request, write: Callable[[bytes], None]) -> None:
    """Hands the body on as it comes, so that little of it is in memory."""
    piece = bytearray()
    async for chunk in request.stream():
        piece += chunk
        if len(piece) >= _PIECE:
            await anyio.to_thread.run_sync(write, bytes(piece))
            piece.clear()
    if piece:
        await anyio.to_thread.run_sync(write, bytes(piece))


def _token(request: Request) -> str:
    token = presented_key(request.headers)
    if not token or not token.isascii():
        raise Unauthenticated("A task's token is needed.")
    return token


def _json(data: dict[str, Any]) -> Response:
    return Response(orjson.dumps(data), media_type="application/json")
