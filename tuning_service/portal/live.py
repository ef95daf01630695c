"""/live/{topic}: a word whenever what a page shows has changed. The page then asks for its parts again."""

from collections.abc import AsyncIterator

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tuning_service.api.deps import managers
from tuning_service.api.errors import problem_response
from tuning_service.api.watching import Watch, Watching
from tuning_service.api.welcome import CHECK_S, Welcome
from tuning_service.domain.errors import NotFound, TuningError, Unauthenticated
from tuning_service.domain.principal import Principal

TENANT = "jobs"  # the topic of all of a tenant's jobs


async def follow(request: Request) -> Response:
    """Server-sent events: the version of what is watched, at first and when it has changed; `deleted` at its end."""
    principal: Principal | None = request.state.principal
    if principal is None:
        return problem_response(request.scope, Unauthenticated())
    topic: str = request.path_params["topic"]
    try:
        if topic != TENANT:
            await anyio.to_thread.run_sync(managers(request).tuning.job, principal, topic)
        watch: Watch = request.app.state.watch
        watching = watch.tenant(principal) if topic == TENANT else watch.job(principal, topic)
    except TuningError as error:
        return problem_response(request.scope, error)
    request.state.stream = True
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _texts(request, watching, principal, topic), media_type="text/event-stream", headers=headers
    )


async def _texts(request: Request, watching: Watching, principal: Principal, topic: str) -> AsyncIterator[bytes]:
    welcome = Welcome(request.state.still_welcome)
    async with watching:
        while not watching.over and await welcome.lasts():
            # A page that hears nothing is told that it still is connected, when it is asked whether it may be.
            version = await watching.next(timeout_s=CHECK_S)
            if version is not None:
                yield f"data: {version}\n\n".encode()
            elif not watching.over:
                yield b": alive\n\n"
        if topic != TENANT and await anyio.to_thread.run_sync(_is_gone, request, principal, topic):
            yield b"event: deleted\ndata:\n\n"


def _is_gone(request: Request, principal: Principal, job_id: str) -> bool:
    try:
        managers(request).tuning.job(principal, job_id)
    except NotFound:
        return True
    return False
