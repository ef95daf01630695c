"""/live/{topic}: a word whenever what a page shows has changed. The page then asks for its parts again."""

import hashlib
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tuning_service.api.deps import managers
from tuning_service.api.errors import problem_response
from tuning_service.domain.errors import NotFound, TuningError, Unauthenticated
from tuning_service.domain.principal import Principal

TENANT = "jobs"  # the topic of all of a tenant's jobs
_POLL_S = 0.5


async def follow(request: Request) -> Response:
    """Server-sent events: the version of what is watched, at first and when it has changed; `deleted` at its end."""
    principal: Principal | None = request.state.principal
    if principal is None:
        return problem_response(request.scope, Unauthenticated())
    topic: str = request.path_params["topic"]
    try:
        await anyio.to_thread.run_sync(_version, request, principal, topic)
    except TuningError as error:
        return problem_response(request.scope, error)
    request.state.stream = True
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_texts(request, principal, topic), media_type="text/event-stream", headers=headers)


async def _texts(request: Request, principal: Principal, topic: str) -> AsyncIterator[bytes]:
    shown = ""
    while not request.app.state.stopping.is_set():
        try:
            version = await anyio.to_thread.run_sync(_version, request, principal, topic)
        except NotFound:
            yield b"event: deleted\ndata:\n\n"
            return
        if version != shown:
            shown = version
            yield f"data: {version}\n\n".encode()
        await anyio.sleep(_POLL_S)


def _version(request: Request, principal: Principal, topic: str) -> str:
    tuning = managers(request).tuning
    seen = tuning.jobs(principal, before=None, limit=50) if topic == TENANT else tuning.job(principal, topic)
    return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()
