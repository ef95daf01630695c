"""/v1/tuning-jobs/{job}/events and /v1/events: what happens to a job, and to which jobs, as server-sent events."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse

from tuning_service.api.deps import Counts, Reader, Reads, Tuning, Watcher, Who
from tuning_service.api.errors import responses
from tuning_service.api.metrics import Metrics
from tuning_service.api.reading import Following, is_over
from tuning_service.api.schemas import moment
from tuning_service.api.watching import Watch, Watching
from tuning_service.api.welcome import CHECK_S, Welcome
from tuning_service.domain.errors import NotFound
from tuning_service.domain.principal import Principal
from tuning_service.manager.model_tuning_mgr import Event

router = APIRouter(tags=["events"])

HEARTBEAT_S = 15.0
# What changes by itself is shown after so long: that a job's pool has no controller any more, say.
_STALE_S = 2.0

_EXAMPLE = """event: progress
data: {"status":"running","target":"running","reason":"","progress":{"total":24,"done":10,"running":2,"failed":1}}

id: 311
event: trial
data: {"number":9,"status":"completed","value":0.983,"reason":"","at":"2031-01-01T10:00:00Z"}
"""

_LIST_EXAMPLE = """event: changed
data: {"jobs":[],"all":true}

event: changed
data: {"jobs":["job_01k9b0m3r1x5v7t2c4n6p8q0sw"],"all":false}
"""


@router.get(
    "/v1/tuning-jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        **responses(404, 422),
        200: {
            "description": "Events `progress` (at first, and when a count or the status changes), `job`, `trial`, and"
            " `deleted` at the end of a job that is deleted",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
    },
)
async def follow_events(
    request: Request,
    job_id: str,
    who: Who,
    tuning: Tuning,
    welcome: Reader,
    watch: Watcher,
    readings: Reads,
    counts: Counts,
    follow: Annotated[bool, Query(description="Go on after the job has ended: it may be resumed")] = False,
    last_event_id: Annotated[
        int, Header(ge=0, lt=2**53, description="Send events after this one only; browsers do it when they reconnect")
    ] = 0,
) -> StreamingResponse:
    """Follow a job live. Ends when the job has ended, unless `follow=true`."""
    await anyio.to_thread.run_sync(tuning.job, who, job_id)  # so that what is not found is a 404, not a broken stream
    request.state.stream = True
    reader = readings.of(who, job_id, last_event_id)
    texts = _job_texts(watch, Following(reader, last_event_id), who, welcome, follow=follow)
    return _streamed(texts, counts)


@router.get(
    "/v1/events",
    response_class=StreamingResponse,
    responses={
        **responses(403),
        200: {
            "description": "Events `changed`: at first, and when jobs have changed in what a list of them shows",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _LIST_EXAMPLE}},
        },
    },
)
async def follow_jobs(request: Request, who: Who, welcome: Reader, watch: Watcher, counts: Counts) -> StreamingResponse:
    """Follow which of the tenant's jobs change. `all`: any may have, at first and when jobs were deleted."""
    watching = watch.tenant(who)  # so that an operator's key is a 403, not a broken stream
    request.state.stream = True
    return _streamed(_list_texts(watching, welcome), counts)


def _streamed(texts: AsyncIterator[bytes], counts: Metrics) -> StreamingResponse:
    async def stream() -> AsyncIterator[bytes]:
        counts.open_streams.inc()
        try:
            async for text in texts:
                yield text
        finally:
            counts.open_streams.dec()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


class _Silence:
    """Since when nothing was sent."""

    def __init__(self) -> None:
        self._spoke_at = time.monotonic()

    def broken(self) -> None:
        """Something was."""
        self._spoke_at = time.monotonic()

    @property
    def is_long(self) -> bool:
        """True when a sign of life is due."""
        return time.monotonic() - self._spoke_at >= HEARTBEAT_S


async def _job_texts(
    watch: Watch, following: Following, who: Principal, welcome: Welcome, *, follow: bool
) -> AsyncIterator[bytes]:
    shown: dict[str, Any] = {}
    silence = _Silence()
    async with watch.job(who, following.job_id) as seen:
        while True:
            await seen.next(timeout_s=min(_STALE_S, HEARTBEAT_S))
            if watch.is_stopping or not await welcome.lasts():
                return
            try:
                # Over: the job is gone, which what was read a moment ago does not know.
                reading, fresh = await following.news(seen.version, within_s=0.0 if seen.over else _STALE_S)
            except NotFound:
                yield _text("deleted", {})
                return
            text = b"".join(_event_text(event) for event in fresh)
            if reading.told != shown:
                shown = reading.told
                text += _text("progress", reading.shown)
            if text:
                silence.broken()
                yield text
            if is_over(reading.view.job) and not follow:
                return
            if silence.is_long:
                silence.broken()
                yield b": alive\n\n"


async def _list_texts(watching: Watching, welcome: Welcome) -> AsyncIterator[bytes]:
    silence = _Silence()
    async with watching as seen:
        while not seen.over and await welcome.lasts():
            # No longer than until it is asked again whether the reader is welcome.
            if await seen.next(timeout_s=CHECK_S) is not None:
                silence.broken()
                yield _text("changed", {"jobs": sorted(seen.jobs or ()), "all": seen.jobs is None})
            elif silence.is_long and not seen.over:
                silence.broken()
                yield b": alive\n\n"


def _event_text(event: Event) -> bytes:
    return b"id: %d\n" % event.id + _text(event.kind, {**event.data, "at": moment(event.at)})


def _text(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(data, option=orjson.OPT_UTC_Z))
