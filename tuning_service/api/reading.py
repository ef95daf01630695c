"""A job's progress and events, read once for all who follow the job in this process."""

import asyncio
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from tuning_service.api.schemas import progress_out
from tuning_service.domain.job import TuningJob
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import JobStatus, JobTarget
from tuning_service.manager.model_tuning_mgr import Event, ModelTuningMgr
from tuning_service.manager.views import JobView
from tuning_service.manager.watch_mgr import OVERLAP_S

_PAGE = 1000


def is_over(job: TuningJob) -> bool:
    """True when nothing more happens unless somebody asks for it.

    A job that has ended is wanted to rest, until somebody resumes or deletes it.
    """
    ended = job.status in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED}
    return ended and job.target is JobTarget.STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The job as it was read, and then its events above `after`, which may have been read before.

    `shown` is what is sent of its progress; `told` the part of it of which a change is worth sending.
    """

    view: JobView
    after: int
    events: Sequence[Event]
    shown: dict[str, Any]
    told: dict[str, Any]
    read_at: float  # monotonic


class JobReader:
    """One job's readings, each made once for all who ask. Used by the event loop's thread."""

    def __init__(self, tuning: ModelTuningMgr, who: Principal, job_id: str, after: int) -> None:
        self.tuning = tuning
        self.who = who
        self.job_id = job_id
        self._floor = after  # nothing at or below this turns up any more, for those who were told of what did
        self._version = -1
        self._reading: asyncio.Task[Reading] | None = None

    async def read(self, version: int, *, within_s: float) -> Reading:
        """Made since `version` was told, and at most `within_s` ago. Raises NotFound."""
        if not self._is_fresh(version, within_s):
            self._version = version
            self._reading = asyncio.create_task(self._load())
            # Whoever asked first may be gone when it is there.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        assert self._reading is not None
        return await asyncio.shield(self._reading)

    def _is_fresh(self, version: int, within_s: float) -> bool:
        made = self._reading
        if made is None or version > self._version:
            return False
        if not made.done():
            return True
        if made.cancelled() or made.exception() is not None:
            return False
        return time.monotonic() - made.result().read_at < within_s

    async def _load(self) -> Reading:
        reading = await anyio.to_thread.run_sync(self._read, self._floor)
        self._floor = max(self._floor, settled_floor(reading.events, self.tuning.now(), reading.after))
        return reading

    def _read(self, after: int) -> Reading:
        # The job first: when it is over, all of its events are among those that are read then.
        read_at = time.monotonic()
        view = self.tuning.job(self.who, self.job_id)
        progress = progress_out(view).model_dump(mode="json")
        job = view.job
        shown = {"status": job.status, "target": job.target, "reason": job.reason, "progress": progress}
        return Reading(
            view=view,
            after=after,
            events=self.events(after),
            shown=shown,
            told=shown | {"progress": progress | {"seconds_left": None}},  # the estimate changes all the time
            read_at=read_at,
        )

    def events(self, after: int) -> list[Event]:
        """All above `after`. Raises NotFound."""
        found: list[Event] = []
        while True:
            page = self.tuning.events(self.who, self.job_id, after=found[-1].id if found else after, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found


def settled_floor(events: Sequence[Event], now: float, floor: int) -> int:
    """The highest id below which no event turns up late any more."""
    return max((event.id for event in events if event.at < now - OVERLAP_S), default=floor)


class Following:
    """What one follower of a job has been told."""

    def __init__(self, reader: JobReader, after: int) -> None:
        self.job_id = reader.job_id
        self._reader = reader
        self._floor = after
        self._sent: set[int] = set()  # ids above the floor

    async def news(self, version: int, *, within_s: float) -> tuple[Reading, list[Event]]:
        """The job, and the events that were not in an earlier answer. Raises NotFound once it is deleted."""
        reading = await self._reader.read(version, within_s=within_s)
        events = reading.events
        if self._floor < reading.after:  # who comes later, or is slow, reads what the others have behind them
            events = await anyio.to_thread.run_sync(self._reader.events, self._floor)
        fresh = [event for event in events if event.id > self._floor and event.id not in self._sent]
        self._sent.update(event.id for event in fresh)
        self._floor = max(self._floor, settled_floor(events, self._reader.tuning.now(), self._floor))
        self._sent = {event_id for event_id in self._sent if event_id > self._floor}
        return reading, fresh


class Readings:
    """The readers of the jobs that are followed in this process."""

    def __init__(self, tuning: ModelTuningMgr) -> None:
        self._tuning = tuning
        self._readers: weakref.WeakValueDictionary[tuple[str, str], JobReader] = weakref.WeakValueDictionary()

    def of(self, who: Principal, job_id: str, after: int) -> JobReader:
        """The one that all share who follow the job; a new one begins after event `after`."""
        key = who.tenant_id, job_id
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = JobReader(self._tuning, who, job_id, after)
        return reader
