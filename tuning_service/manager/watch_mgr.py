"""WatchMgr: tells which jobs have changed since the last look, for as many who watch as there are."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.storage.store import Store

# An event's id is given when it is written, not when that is committed: a lower id may turn up after a higher one, by
# as long as a transaction lasts. So the last seconds are looked at again each time.
OVERLAP_S = 5.0
# As many ids as may have been given to transactions that were still open at the first look.
_OVERLAP_IDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has changed since the look before.

    `jobs` are ids of jobs by tenant, of all tenants that had any, of which something happened; `details` watched jobs,
    as (tenant, id), of which something else has changed, such as what a training has measured. `listed` are tenants of
    whose jobs some came or went; `gone` are watched jobs that are not there (any more).
    """

    jobs: dict[str, set[str]] = field(default_factory=dict)
    details: set[tuple[str, str]] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    gone: set[tuple[str, str]] = field(default_factory=set)


class WatchMgr:
    """Gives out looks, which remember what they saw. Safe from any thread."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock

    def look_out(self) -> "LookOut":
        """One that has seen nothing yet."""
        return LookOut(self._store, self._clock)


class LookOut:
    """What was seen so far. Used by one thread at a time."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._floor: int | None = None  # no event at or below this will turn up any more
        self._seen: set[int] = set()  # above the floor
        self._jobs: dict[tuple[str, str], Any] = {}
        self._tenants: dict[str, Any] = {}

    def look(self, jobs: Collection[tuple[str, str]], tenants: Collection[str]) -> News:
        """What has changed of these jobs, as (tenant, id), and tenants; of what is new here, nothing has.

        What is not named is forgotten.
        """
        with self._store.read() as unit:
            if self._floor is None:
                top = unit.watching.last_event()
                self._floor, self._seen = max(0, top - _OVERLAP_IDS), set()
                self._take(unit.watching.look((), (), after=self._floor).events)
            signs = unit.watching.look({job_id for _, job_id in jobs}, tenants, after=self._floor)
        news = News()
        for job_id, tenant in self._take(signs.events):
            news.jobs.setdefault(tenant, set()).add(job_id)
        now_jobs: dict[tuple[str, str], Any] = {}
        for tenant, job_id in jobs:
            owner, sign = signs.jobs.get(job_id, ("", None))
            if owner != tenant:
                news.gone.add((tenant, job_id))
                continue
            now_jobs[tenant, job_id] = sign
            if self._jobs.get((tenant, job_id), sign) != sign:
                news.details.add((tenant, job_id))
        now_tenants = {tenant: signs.tenants.get(tenant) for tenant in tenants}
        news.listed.update(t for t, sign in now_tenants.items() if self._tenants.get(t, sign) != sign)
        self._jobs, self._tenants = now_jobs, now_tenants
        return news

    def _take(self, found: Collection[tuple[int, str, str, float]]) -> list[tuple[str, str]]:
        """Job and tenant of those events that were not seen before."""
        fresh = [(job_id, tenant) for number, job_id, tenant, _ in found if number not in self._seen]
        self._seen.update(number for number, *_ in found)
        settled = self._clock() - OVERLAP_S
        assert self._floor is not None
        self._floor = max((number for number, *_, at in found if at < settled), default=self._floor)
        self._seen = {number for number in self._seen if number > self._floor}
        return fresh
