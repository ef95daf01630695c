"""What tenants use and have used."""

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Insert, Table, bindparam, func, select, union

from tuning_service.domain.principal import Tenant, Usage
from tuning_service.domain.state import OPEN_JOBS, OPEN_TASKS, JobTarget
from tuning_service.domain.trial import TuningTask
from tuning_service.storage.rows import tenant_from
from tuning_service.storage.tables import job_usage, programs, tenants, tuning_jobs, tuning_tasks, usage
from tuning_service.storage.tables_plugins import plugins
from tuning_service.storage.writes import insert_into

HOUR_S = 3600.0
_OPEN_JOBS = [str(s) for s in OPEN_JOBS]
_OPEN_TASKS = [str(s) for s in OPEN_TASKS]

# Built once: making a statement costs more than running it, and these run for every trial, or each time that somebody
# asks how a job does.
_POOL = select(tuning_jobs.c.pool).where(tuning_jobs.c.id == bindparam("job"))
_RUNNING = select(func.count(), func.coalesce(func.sum(tuning_tasks.c.gpu_share), 0.0)).where(
    tuning_tasks.c.tenant_id == bindparam("tenant"), tuning_tasks.c.status.in_(_OPEN_TASKS)
)
_USED_BY_JOBS = (
    select(job_usage)
    .join(tuning_jobs, tuning_jobs.c.id == job_usage.c.job_id)
    .where(job_usage.c.job_id.in_(bindparam("jobs")), tuning_jobs.c.tenant_id == bindparam("tenant"))
)
_USED_BY_TASKS = select(
    *(tuning_tasks.c[name] for name in ("job_id", "claimed_at", "cpus", "gpu_share", "price"))
).where(
    tuning_tasks.c.job_id.in_(bindparam("jobs")),
    tuning_tasks.c.tenant_id == bindparam("tenant"),
    tuning_tasks.c.status.in_(_OPEN_TASKS),
    tuning_tasks.c.claimed_at.is_not(None),
)
# SQLite ignores FOR UPDATE: there, a writing transaction is alone anyway. As a key it may be referred to.
_TENANT_LOCKED = select(tenants).where(tenants.c.id == bindparam("tenant")).with_for_update(key_share=True)


def account(connection: Connection, task: TuningTask, now: float) -> None:
    """Add what an execution has used, in the very transaction that ends it: so it counts once.

    One that no runner ever claimed has used nothing. One that ran over the end of a month counts in both.
    """
    if task.claimed_at is None:
        return
    pool = connection.execute(_POOL, {"job": task.job_id}).scalar_one()
    parts = list(by_month(task.claimed_at, max(now, task.claimed_at)))
    for month, seconds in parts:
        row = {
            "tenant_id": task.tenant_id,
            "month": month,
            "pool": pool,
            "tasks": int(month == parts[-1][0]),
            **_used(seconds, task.cpus, task.gpu_share, task.price),
        }
        connection.execute(_adding(usage, connection.dialect.name), row)
    used = _used(max(now - task.claimed_at, 0.0), task.cpus, task.gpu_share, task.price)
    connection.execute(_adding(job_usage, connection.dialect.name), {"job_id": task.job_id, **used})


def _used(seconds: float, cpus: int, gpus: float, price: float) -> dict[str, float]:
    return {"cpu_s": seconds * cpus, "gpu_s": seconds * gpus, "cost": seconds / HOUR_S * gpus * price}


@functools.cache
def _adding(table: Table, dialect: str) -> Insert:
    statement = insert_into(table, dialect)
    added = [column.name for column in table.c if column.name in {"tasks", "cpu_s", "gpu_s", "cost"}]
    sums = {name: table.c[name] + statement.excluded[name] for name in added}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)


def used_by_jobs(connection: Connection, tenant_id: str, job_ids: Collection[str], now: float) -> dict[str, Usage]:
    """What each of these jobs of the tenant has used, by what has ended, and up to `now` by what runs.

    Of `Usage` these are set: `cpu_hours`, `gpu_hours`, `cost`.
    """
    sums = {job_id: dict.fromkeys(("cpu_s", "gpu_s", "cost"), 0.0) for job_id in job_ids}
    chosen = {"jobs": list(job_ids), "tenant": tenant_id}
    for row in connection.execute(_USED_BY_JOBS, chosen):
        sums[row.job_id] = {"cpu_s": row.cpu_s, "gpu_s": row.gpu_s, "cost": row.cost}
    for row in connection.execute(_USED_BY_TASKS, chosen):
        for name, value in _used(max(now - row.claimed_at, 0.0), row.cpus, row.gpu_share, row.price).items():
            sums[row.job_id][name] += value
    return {
        job_id: Usage(cpu_hours=used["cpu_s"] / HOUR_S, gpu_hours=used["gpu_s"] / HOUR_S, cost=used["cost"])
        for job_id, used in sums.items()
    }


def month_of(moment: float) -> str:
    """The calendar month, UTC, as in 2031-04."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m}"


def by_month(begin: float, end: float) -> Iterator[tuple[str, float]]:
    """The months between two times, with the seconds that lie in each."""
    while True:
        date = datetime.fromtimestamp(begin, UTC)
        next_month = date.replace(year=date.year + date.month // 12, month=date.month % 12 + 1, day=1)
        until = min(end, next_month.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
        yield month_of(begin), until - begin
        if until >= end:
            return
        begin = until


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What a tenant has used in a calendar month; `tasks` are executions that ended in it."""

    tasks: int
    cpu_hours: float
    gpu_hours: float
    cost: float


class UsageRows:
    """What one tenant uses. Open executions count up to `now`."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def running(self) -> tuple[int, float]:
        """Executions that are open over all jobs, and the GPUs that they hold."""
        count, gpus = self._connection.execute(_RUNNING, {"tenant": self._tenant_id}).one()
        return count, gpus

    def month(self, now: float) -> Month:
        """What was used in the month of `now`, also by what runs."""
        month = month_of(now)
        ended = self._connection.execute(
            select(*(func.coalesce(func.sum(usage.c[name]), 0) for name in ("tasks", "cpu_s", "gpu_s", "cost"))).where(
                usage.c.tenant_id == self._tenant_id, usage.c.month == month
            )
        ).one()
        tasks, cpu_s, gpu_s, cost = ended
        running = self._connection.execute(
            select(
                tuning_tasks.c.claimed_at, tuning_tasks.c.cpus, tuning_tasks.c.gpu_share, tuning_tasks.c.price
            ).where(
                tuning_tasks.c.tenant_id == self._tenant_id,
                tuning_tasks.c.status.in_(_OPEN_TASKS),
                tuning_tasks.c.claimed_at.is_not(None),
            )
        )
        for claimed_at, cpus, gpus, price in running:
            seconds = dict(by_month(claimed_at, max(now, claimed_at))).get(month, 0.0)
            cpu_s, gpu_s = cpu_s + seconds * cpus, gpu_s + seconds * gpus
            cost += seconds / HOUR_S * gpus * price
        return Month(tasks=tasks, cpu_hours=cpu_s / HOUR_S, gpu_hours=gpu_s / HOUR_S, cost=cost)

    def jobs(self) -> int:
        """Jobs that have not ended, those too that were resumed and that no controller has taken up yet."""
        ids = select(tuning_jobs.c.id)
        # Two questions, so that an index answers each: most jobs have ended, and rest.
        wanted = union(
            ids.where(tuning_jobs.c.status.in_(_OPEN_JOBS)), ids.where(tuning_jobs.c.target == str(JobTarget.RUNNING))
        )
        count: int = self._connection.execute(
            select(func.count()).where(tuning_jobs.c.id.in_(wanted), tuning_jobs.c.tenant_id == self._tenant_id)
        ).scalar_one()
        return count

    def storage_bytes(self) -> int:
        """Bytes of programs, plug-ins, logs and artifacts."""
        parts = (programs.c.bytes, plugins.c.bytes, tuning_tasks.c.log_bytes, tuning_tasks.c.artifact_bytes)
        return sum(
            int(
                self._connection.execute(
                    select(func.coalesce(func.sum(column), 0)).where(column.table.c.tenant_id == self._tenant_id)
                ).scalar_one()
            )
            for column in parts
        )

    def all(self, now: float) -> Usage:
        """Everything."""
        parallel, gpus = self.running()
        month = self.month(now)
        return Usage(
            parallel=parallel,
            gpus=gpus,
            gpu_hours=month.gpu_hours,
            cpu_hours=month.cpu_hours,
            cost=month.cost,
            tasks=month.tasks,
            jobs=self.jobs(),
            storage_bytes=self.storage_bytes(),
        )


class QuotaRows:
    """What quotas are held against, over all jobs, of one controller and of others."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self, tenant_id: str) -> Tenant:
        """The tenant, whose quotas nobody else draws on until the transaction ends.

        Comes last of a transaction's locks: after those of jobs and of tasks.
        """
        return tenant_from(self._connection.execute(_TENANT_LOCKED, {"tenant": tenant_id}).one())

    def usage(self, tenant_id: str) -> UsageRows:
        """What that tenant uses."""
        return UsageRows(self._connection, tenant_id)

    def used_elsewhere(self, owner: str) -> dict[str, tuple[int, float]]:
        """By tenant: open tasks of jobs that `owner` does not drive, and the GPUs that those hold.

        Those of jobs that nobody drives at present count, too: what they have launched may still run.
        """
        rows = self._connection.execute(
            select(tuning_tasks.c.tenant_id, func.count(), func.sum(tuning_tasks.c.gpu_share))
            .join(tuning_jobs, tuning_jobs.c.id == tuning_tasks.c.job_id)
            .where(
                tuning_tasks.c.status.in_(_OPEN_TASKS),
                tuning_jobs.c.status.in_(_OPEN_JOBS),  # others have none; so indexes lead from jobs to tasks
                tuning_jobs.c.lease_owner.is_distinct_from(owner),
            )
            .group_by(tuning_tasks.c.tenant_id)
        )
        return {tenant: (count, gpus) for tenant, count, gpus in rows}
