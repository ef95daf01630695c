"""/v1/tuning-jobs/{job}/events: what happens to a job, as server-sent events."""

import time
from collections.abc import AsyncIterator, Sequence
from threading import Event as Flag
from typing import Annotated, Any

import anyio
import anyio.to_thread
import orjson
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse

from tuning_service.api.deps import Counts, Reader, Stopping, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import moment, progress_out
from tuning_service.api.welcome import Welcome
from tuning_service.domain.errors import NotFound
from tuning_service.domain.job import TuningJob
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import JobStatus, JobTarget
from tuning_service.manager.model_tuning_mgr import Event, JobView, ModelTuningMgr

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/events", tags=["events"])

HEARTBEAT_S = 15.0
_POLL_S = 0.3
_PAGE = 1000
# An event's id is given when it is written, not when that is committed: a lower id may turn up after a higher one, by
# as long as a transaction lasts. So the last seconds are read again each time.
_OVERLAP_S = 5.0

_EXAMPLE = """event: progress
data: {"status":"running","target":"running","reason":"","progress":{"total":24,"done":10,"running":2,"failed":1}}

id: 311
event: trial
data: {"number":9,"status":"completed","value":0.983,"reason":"","at":"2031-01-01T10:00:00Z"}
"""


@router.get(
    "",
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
    reader: Reader,
    stopping: Stopping,
    counts: Counts,
    follow: Annotated[bool, Query(description="Go on after the job has ended: it may be resumed")] = False,
    last_event_id: Annotated[
        int, Header(ge=0, lt=2**53, description="Send events after this one only; browsers do it when they reconnect")
    ] = 0,
) -> StreamingResponse:
    """Follow a job live. Ends when the job has ended, unless `follow=true`."""
    await anyio.to_thread.run_sync(tuning.job, who, job_id)  # so that what is not found is a 404, not a broken stream
    request.state.stream = True
    feed = _Feed(tuning, who, job_id, last_event_id)
    sender = _Sender(feed, reader, stopping, follow=follow)

    async def stream() -> AsyncIterator[bytes]:
        counts.open_streams.inc()
        try:
            async for text in sender.texts():
                yield text
        finally:
            counts.open_streams.dec()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


def is_over(job: TuningJob) -> bool:
    """True when nothing more happens unless somebody asks for it."""
    if job.status is JobStatus.COMPLETED:
        return job.target is not JobTarget.DELETED
    # A job that stopped or failed is wanted to rest, until somebody resumes or deletes it.
    return job.status in {JobStatus.FAILED, JobStatus.STOPPED} and job.target is JobTarget.STOPPED


class _Feed:
    """A job's news since the last time."""

    def __init__(self, tuning: ModelTuningMgr, who: Principal, job_id: str, after: int) -> None:
        self._tuning = tuning
        self._who = who
        self._job_id = job_id
        self._floor = after  # nothing at or below this will turn up any more
        self._sent: set[int] = set()  # ids above the floor

    def news(self) -> tuple[JobView, list[Event]]:
        """The job, and the events that were not in an earlier answer. Raises NotFound once it is deleted.

        The job is read first: when it is over, all of its events are among these.
        """
        view = self._tuning.job(self._who, self._job_id)
        fresh: list[Event] = []
        after = self._floor
        while True:
            page = self._tuning.events(self._who, self._job_id, after=after, limit=_PAGE)
            fresh += [event for event in page if event.id not in self._sent]
            self._remember(page)
            if len(page) < _PAGE:
                return view, fresh
            after = page[-1].id

    def _remember(self, page: Sequence[Event]) -> None:
        self._sent.update(event.id for event in page)
        settled = self._tuning.now() - _OVERLAP_S
        self._floor = max((event.id for event in page if event.at < settled), default=self._floor)
        self._sent = {event_id for event_id in self._sent if event_id > self._floor}


class _Sender:
    """The stream's text."""

    def __init__(self, feed: _Feed, reader: Welcome, stopping: Flag, *, follow: bool) -> None:
        self._feed = feed
        self._reader = reader
        self._stopping = stopping
        self._follow = follow
        self._shown: dict[str, Any] = {}
        self._spoke_at = time.monotonic()

    async def texts(self) -> AsyncIterator[bytes]:
        while not self._stopping.is_set() and await self._reader.lasts():
            try:
                view, fresh = await anyio.to_thread.run_sync(self._feed.news)
            except NotFound:
                yield _text("deleted", {})
                return
            text = b"".join(_event_text(event) for event in fresh) + self._progress(view)
            if text:
                self._spoke_at = time.monotonic()
                yield text
            if is_over(view.job) and not self._follow:
                return
            if time.monotonic() - self._spoke_at >= HEARTBEAT_S:
                self._spoke_at = time.monotonic()
                yield b": alive\n\n"
            await anyio.sleep(_POLL_S)

    def _progress(self, view: JobView) -> bytes:
        progress = progress_out(view).model_dump(mode="json")
        job = view.job
        shown = {"status": job.status, "target": job.target, "reason": job.reason, "progress": progress}
        # The estimate alone changes all the time.
        told = shown | {"progress": progress | {"seconds_left": None}}
        if told == self._shown:
            return b""
        self._shown = told
        return _text("progress", shown)


def _event_text(event: Event) -> bytes:
    return b"id: %d\n" % event.id + _text(event.kind, {**event.data, "at": moment(event.at)})


def _text(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(data, option=orjson.OPT_UTC_Z))
