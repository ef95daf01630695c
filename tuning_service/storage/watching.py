"""What tells that jobs have changed: a handful of short queries, over all tenants and however many jobs are watched."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from tuning_service.domain.state import OPEN_TASKS, OPEN_TRIALS
from tuning_service.storage.tables import events, trials, tuning_jobs, tuning_tasks

_OPEN_TASKS = [str(s) for s in OPEN_TASKS]
_OPEN_TRIALS = [str(s) for s in OPEN_TRIALS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What was seen in one look.

    `events` are (id, job, tenant, at) in the order of their ids; `jobs` has, for each watched job that is there, its
    tenant and a value that is another one once anything of it but its events has changed; `tenants` how many jobs each
    watched tenant has, and the newest one's id.
    """

    events: Sequence[tuple[int, str, str, float]] = ()
    jobs: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    tenants: Mapping[str, Any] = field(default_factory=dict)


class WatchRows:
    """Rows of all tenants: for `WatchMgr` alone, which tells nobody of another's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last_event(self) -> int:
        """The highest id so far; 0 without any."""
        last: int = self._connection.execute(select(func.coalesce(func.max(events.c.id), 0))).scalar_one()
        return last

    def look(self, job_ids: Collection[str], tenant_ids: Collection[str], *, after: int) -> Signs:
        """What there is of these jobs and tenants, and the events above `after`, which are everybody's."""
        return Signs(events=self._events(after), jobs=self._jobs(job_ids), tenants=self._tenants(tenant_ids))

    def _events(self, after: int) -> list[tuple[int, str, str, float]]:
        rows = self._connection.execute(
            select(events.c.id, events.c.job_id, tuning_jobs.c.tenant_id, events.c.at)
            .join(tuning_jobs, tuning_jobs.c.id == events.c.job_id)
            .where(events.c.id > after)
            .order_by(events.c.id)
        )
        return [(row.id, row.job_id, row.tenant_id, row.at) for row in rows]

    def _jobs(self, job_ids: Collection[str]) -> dict[str, tuple[str, Any]]:
        if not job_ids:
            return {}
        wanted = list(job_ids)
        job, trial, task = tuning_jobs.c, trials.c, tuning_tasks.c
        columns = (job.status, job.target, job.reason, job.edits, job.queued_points)
        rows = self._connection.execute(
            select(job.id, job.tenant_id, *columns, job.model_best_trial, job.model_best_value).where(
                job.id.in_(wanted)
            )
        )
        found: dict[str, tuple[str, list[Any]]] = {row.id: (row.tenant_id, [tuple(row[2:])]) for row in rows}
        open_trials = (
            select(trial.job_id, trial.status, func.count())
            .where(trial.job_id.in_(wanted), trial.status.in_(_OPEN_TRIALS))
            .group_by(trial.job_id, trial.status)
            .order_by(trial.job_id, trial.status)
        )
        measured = (
            select(task.job_id, func.count(), func.max(task.measured_at), func.max(task.claimed_at))
            .where(task.job_id.in_(wanted), task.status.in_(_OPEN_TASKS))
            .group_by(task.job_id)
        )
        for query in (open_trials, measured):
            for job_id, *rest in self._connection.execute(query):
                if job_id in found:
                    found[job_id][1].append(tuple(rest))
        return {job_id: (tenant, tuple(seen)) for job_id, (tenant, seen) in found.items()}

    def _tenants(self, tenant_ids: Collection[str]) -> dict[str, Any]:
        if not tenant_ids:
            return {}
        rows = self._connection.execute(
            select(tuning_jobs.c.tenant_id, func.count(), func.max(tuning_jobs.c.id))
            .where(tuning_jobs.c.tenant_id.in_(list(tenant_ids)))
            .group_by(tuning_jobs.c.tenant_id)
        )
        # Deleted jobs take their events along: that they are gone is known by the count.
        return {tenant: (count, newest) for tenant, count, newest in rows}
