"""Who watches what, and one look at the database for all of them.

    async with watch.job(principal, job_id) as seen:      # or watch.tenant(principal)
        async for version in seen:
            ...                                           # read what the page shows, and show it

`Watch` is the application's (`app.state.watch`, the dependency `Watcher`); its methods are for the event loop. The
first version comes at once, or with the first look at what nobody else watches; each further one after something has
changed that a page about the job, or about the tenant's list of jobs, shows: status, target, reason (with it the place
in a queue), name and budget, the counts of trials, an ended trial, the best by the model, and of a job also each new
measurement. Versions rise, also over a restart of the process. What changes while a page is being read is told by one
further version, however much it was.

`await seen.next(timeout_s=…)` is the same with an end to the waiting: None when nothing has changed by then. After each
version of a tenant, `seen.jobs` has the ids of the jobs that have changed since the version before, or None when that
cannot be said: at first, and when jobs were deleted. A watch ends (StopAsyncIteration, `seen.over`) when the job is not
the tenant's, or is there no more, and when the service stops.

While anybody watches, one thread looks every `_POLL_S` seconds, so a change is noticed after half of that on average;
what that costs hardly depends on how many watch. While nobody does, nothing is asked.
"""

import asyncio
import contextlib
import time
import weakref
from collections import deque
from threading import Event
from types import TracebackType
from typing import Self

import anyio.to_thread
import structlog

from tuning_service.domain.principal import Principal
from tuning_service.manager.watch_mgr import LookOut, News, WatchMgr

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_POLL_S = 0.15
_LEAST_S = 0.02
_PAUSE_S = 2.0  # after a look that failed
_REMEMBERED = 200  # versions of a tenant of which it is known which jobs they were about

# A tenant's id, and a job's or "" for the list of all its jobs.
_Subject = tuple[str, str]


class Watching:
    """One who watches. Used by one task; what is not closed ends when it is forgotten."""

    def __init__(self, watch: "Watch", subject: _Subject) -> None:
        self.over = False
        self.jobs: frozenset[str] | None = None
        self.version = 0  # the last one given
        self._watch = watch
        self._subject = subject
        self._wake = asyncio.Event()

    @property
    def subject(self) -> tuple[str, str]:
        """The tenant's id, and the job's; "" for all jobs."""
        return self._subject

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        while (version := await self.next(timeout_s=None)) is None:
            if self.over:
                raise StopAsyncIteration
        return version

    async def next(self, *, timeout_s: float | None) -> int | None:
        """The newest version, once it is another one than before; None after the time, or when the watch is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        if self.over or not self._wake.is_set():
            return None
        self._wake.clear()
        before, self.version = self.version, self._watch.version(self._subject)
        self.jobs = self._watch.changed_since(self._subject, before)
        return self.version

    def close(self) -> None:
        """Nothing more is wanted."""
        self.over = True
        self._wake.set()
        self._watch.forget(self)

    def wake(self, *, over: bool = False) -> None:
        """There is a newer version; or there will be none."""
        self.over = self.over or over
        self._wake.set()


class Watch:
    """All who watch in this process. Used by the event loop's thread alone."""

    def __init__(self, mgr: WatchMgr, stopping: Event) -> None:
        """`stopping` ends all watches."""
        self._mgr = mgr
        self._stopping = stopping
        self._watching: dict[_Subject, weakref.WeakSet[Watching]] = {}
        # Per tenant: versions, with the jobs that they were about; None: any.
        self._changes: dict[_Subject, deque[tuple[int, frozenset[str] | None]]] = {}
        self._looked_at: set[_Subject] = set()  # what changes are told of
        self._poller: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()  # somebody waits for a first look

    def job(self, principal: Principal, job_id: str) -> Watching:
        """A watch over one job of the principal's tenant. Raises Denied."""
        return self._add((principal.tenant_id, job_id))

    def tenant(self, principal: Principal) -> Watching:
        """A watch over the list of the tenant's jobs. Raises Denied."""
        return self._add((principal.tenant_id, ""))

    @property
    def is_stopping(self) -> bool:
        """True when all watches end."""
        return self._stopping.is_set()

    def version(self, subject: _Subject) -> int:
        """The newest."""
        return self._changes[subject][-1][0]

    def changed_since(self, subject: _Subject, version: int) -> frozenset[str] | None:
        """The jobs that later versions were about; None when that is not known."""
        changes = self._changes[subject]
        if version < changes[0][0]:
            return None
        later = [jobs for number, jobs in changes if number > version]
        return None if None in later else frozenset().union(*(jobs for jobs in later if jobs is not None))

    def forget(self, watching: Watching) -> None:
        """Nobody waits for it any more."""
        if (others := self._watching.get(watching.subject)) is not None:
            others.discard(watching)

    def _add(self, subject: _Subject) -> Watching:
        watching = Watching(self, subject)
        self._watching.setdefault(subject, weakref.WeakSet()).add(watching)
        if subject not in self._changes:
            self._changes[subject] = deque([(_later_than(0), None)], maxlen=_REMEMBERED)
        loop = asyncio.get_running_loop()
        # One of an earlier loop ended with that.
        if self._poller is None or self._poller.done() or self._poller.get_loop() is not loop:
            self._looked_at.clear()
            # Nobody has looked since: what is kept under an old version may be out of date.
            for changes in self._changes.values():
                changes.append((_later_than(changes[-1][0]), None))
            self._hurry = asyncio.Event()
            self._poller = loop.create_task(self._poll(), name="watching")
        if subject in self._looked_at:
            watching.wake()
        else:
            self._hurry.set()
        return watching

    async def _poll(self) -> None:
        look_out = self._mgr.look_out()
        while subjects := self._subjects():
            if self._stopping.is_set():
                self._end(subjects)
                return
            began, pause = time.monotonic(), _POLL_S
            self._hurry.clear()
            try:
                news = await anyio.to_thread.run_sync(_look, look_out, subjects)
            except Exception:
                # The database may be away for a while: those who watch need not know.
                log.exception("could not look for changes")
                pause = _PAUSE_S
            else:
                self._tell(news)
                self._begin(subjects)
            # Also when looks take long, half of the time is left to others.
            spent = time.monotonic() - began
            await asyncio.sleep(min(max(spent, _LEAST_S), _PAUSE_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + pause - time.monotonic())):
                    await self._hurry.wait()

    def _subjects(self) -> list[_Subject]:
        """What is watched; what is not any more is forgotten."""
        for subject in [s for s, watching in self._watching.items() if not watching]:
            del self._watching[subject], self._changes[subject]
            self._looked_at.discard(subject)
        return list(self._watching)

    def _begin(self, subjects: list[_Subject]) -> None:
        """What was looked at for the first time has its first version: whoever reads now misses nothing later."""
        for subject in [s for s in subjects if s not in self._looked_at]:
            self._looked_at.add(subject)
            for watching in list(self._watching.get(subject, ())):
                watching.wake()

    def _tell(self, news: News) -> None:
        happened = {(tenant, job_id) for tenant, jobs in news.jobs.items() for job_id in jobs}
        for subject in happened | news.details:
            self._change(subject, frozenset({subject[1]}))
        for tenant, jobs in news.jobs.items():
            if tenant not in news.listed:
                self._change((tenant, ""), frozenset(jobs))
        for tenant in news.listed:
            self._change((tenant, ""), None)
        self._end(news.gone)

    def _change(self, subject: _Subject, jobs: frozenset[str] | None) -> None:
        if subject not in self._watching:
            return
        self._changes[subject].append((_later_than(self.version(subject)), jobs))
        for watching in list(self._watching[subject]):
            watching.wake()

    def _end(self, subjects: "list[_Subject] | set[_Subject]") -> None:
        for subject in subjects:
            for watching in list(self._watching.get(subject, ())):
                watching.wake(over=True)
                self.forget(watching)


def _look(look_out: LookOut, subjects: list[_Subject]) -> News:
    return look_out.look([s for s in subjects if s[1]], [tenant for tenant, job_id in subjects if not job_id])


def _later_than(version: int) -> int:
    """A higher one; milliseconds, so that those of a process that is started again are higher than before."""
    return max(version + 1, time.time_ns() // 1_000_000)
