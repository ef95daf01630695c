"""ListingMgr: lists of many jobs and many trials, in pages by number or by cursor, and as a table."""

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.job import JobSpec
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import JobStatus, TrialStatus
from tuning_service.domain.trial import Trial
from tuning_service.manager.fronts import Fronts
from tuning_service.manager.progress import views_of, with_pool_trouble
from tuning_service.manager.so_far import with_last_values
from tuning_service.manager.views import JobView
from tuning_service.storage.job_list import JOB_ORDERS, JobQuery, Position
from tuning_service.storage.store import Store
from tuning_service.storage.tenant_scope import TrialOrder

_ROWS = 500
_MOST_METRICS = 1000  # as many as the runner takes from one training
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Jobs with their numbers. `next` is where the next page begins, for `after`; None: this is the last."""

    views: Sequence[JobView]
    next: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPage:
    """Trials, and how many there are on all pages."""

    trials: Sequence[Trial]
    total: int


class ListingMgr:
    """Safe from any thread."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock
        self._fronts = Fronts()

    def jobs(
        self, principal: Principal, query: JobQuery, *, after: Position | None = None, offset: int = 0, limit: int
    ) -> JobPage:
        """A page of the tenant's jobs: those that follow `after`, or for pages with numbers those from `offset` on.

        The number of queries does not depend on that of jobs.
        """
        with self._store.read() as unit:
            scope, now = unit.for_tenant(principal), self._clock()
            found = scope.listing.jobs(query, after=after, offset=offset, limit=limit + 1)
            shown = found[:limit]
            views = views_of(scope, [job for job, _ in shown], self._fronts, now)
            views = with_pool_trouble(views, unit.pools.controllers, now)
        return JobPage(views=views, next=shown[-1][1] if len(found) > limit and shown else None)

    def job_counts(self, principal: Principal, query: JobQuery) -> dict[JobStatus, int]:
        """How many of the jobs that the query finds, on all pages, are in each status; every status is there."""
        with self._store.read() as unit:
            counts = unit.for_tenant(principal).listing.counts(query)
        return {status: counts.get(status, 0) for status in JobStatus}

    def trials(
        self,
        principal: Principal,
        job_id: str,
        *,
        order: TrialOrder,
        offset: int = 0,
        limit: int,
        statuses: Collection[TrialStatus] = (),
    ) -> TrialPage:
        """A page with a number of a job's trials. Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            spec = scope.job(job_id).spec
            found = scope.trials(job_id, order=order, after=None, limit=limit, statuses=statuses, offset=offset)
            shown = with_last_values(scope, spec, [trial for trial, _ in found])
            counts = scope.trial_counts([job_id])[job_id]
        total = sum(count for status, count in counts.items() if not statuses or status in statuses)
        return TrialPage(trials=shown, total=total)

    def trials_csv(self, principal: Principal, job_id: str) -> Iterator[str]:
        """All trials as comma-separated values, by number, in pieces: what is in memory does not depend on how many.

        Texts that a spreadsheet would take for a formula begin with an apostrophe. Raises NotFound at once, not while
        it is read.
        """
        with self._store.read() as unit:
            spec = unit.for_tenant(principal).job(job_id).spec
        return self._csv(principal, job_id, spec, self._metrics_of(principal, job_id, spec))

    def _metrics_of(self, principal: Principal, job_id: str, spec: JobSpec) -> list[str]:
        """Names of metrics that are columns: when there are very many, the first ones, and those of the job."""
        own = {*spec.required_metrics, *spec.stored_metrics}
        names: set[str] = set()
        for page in self._pages(principal, job_id, spec):
            for trial in page:
                names.update(own & trial.metrics.keys())
                names.update(islice(sorted(trial.metrics.keys() - names), max(0, _MOST_METRICS - len(names))))
        return sorted(names)

    def _csv(self, principal: Principal, job_id: str, spec: JobSpec, metrics: Sequence[str]) -> Iterator[str]:
        values, params = spec.required_metrics, [p.name for p in spec.space]
        names = [*(f"values.{n}" for n in values), *(f"params.{n}" for n in params), *(f"metrics.{n}" for n in metrics)]
        yield _lines([["number", "status", "value", *names, "reason", "started", "ended", "elapsed"]])
        for page in self._pages(principal, job_id, spec):
            yield _lines(
                [
                    [
                        *(trial.number, str(trial.status), trial.value),
                        *_picked(trial.values, values),
                        *_picked(trial.params, params),
                        *_picked(trial.metrics, metrics),
                        *(trial.reason, _moment(trial.started_at), _moment(trial.ended_at), _elapsed(trial)),
                    ]
                    for trial in page
                ]
            )

    def _pages(self, principal: Principal, job_id: str, spec: JobSpec) -> Iterator[list[Trial]]:
        """All trials by number, each page in a transaction of its own, so that a slow reader holds none."""
        after: list[float] | None = None
        while True:
            with self._store.read() as unit:
                scope = unit.for_tenant(principal)
                found = scope.trials(job_id, order=TrialOrder(), after=after, limit=_ROWS)
                shown = with_last_values(scope, spec, [trial for trial, _ in found])
            if shown:
                yield shown
            if len(found) < _ROWS:
                return
            after = found[-1][1]


def _picked(values: Mapping[str, object], names: Sequence[str]) -> Iterator[object]:
    return (values.get(name) for name in names)


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text.isascii()
    except ValueError:
        return False


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _elapsed(trial: Trial) -> float | None:
    if trial.started_at is None or trial.ended_at is None:
        return None
    return round(max(0.0, trial.ended_at - trial.started_at), 3)


__all__ = ["JOB_ORDERS", "JobPage", "JobQuery", "ListingMgr", "Position", "TrialPage"]
