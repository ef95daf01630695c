"""What tenants have used, month by month and pool by pool."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from tuning_service.domain.state import OPEN_TASKS
from tuning_service.storage.tables import tuning_jobs, tuning_tasks, usage
from tuning_service.storage.usage import HOUR_S, by_month


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Of one pool in one calendar month; `tasks` are executions that ended in it."""

    tasks: int = 0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    cost: float = 0.0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            tasks=self.tasks + other.tasks,
            cpu_hours=self.cpu_hours + other.cpu_hours,
            gpu_hours=self.gpu_hours + other.gpu_hours,
            cost=self.cost + other.cost,
        )


class UsageMonths:
    """Of any tenants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def used(self, tenant_ids: Iterable[str], since: str, now: float) -> Mapping[tuple[str, str, str], Used]:
        """By (tenant's id, month, pool), from the month `since` (2031-04) on; what runs counts up to `now`."""
        wanted = list(tenant_ids)
        found: dict[tuple[str, str, str], Used] = defaultdict(Used)
        rows = self._connection.execute(select(usage).where(usage.c.tenant_id.in_(wanted), usage.c.month >= since))
        for row in rows:
            found[row.tenant_id, row.month, row.pool] += Used(
                tasks=row.tasks, cpu_hours=row.cpu_s / HOUR_S, gpu_hours=row.gpu_s / HOUR_S, cost=row.cost
            )
        tasks = tuning_tasks.c
        running = self._connection.execute(
            select(tasks.tenant_id, tuning_jobs.c.pool, tasks.claimed_at, tasks.cpus, tasks.gpu_share, tasks.price)
            .join(tuning_jobs, tuning_jobs.c.id == tasks.job_id)
            .where(
                tasks.tenant_id.in_(wanted),
                tasks.status.in_([str(status) for status in OPEN_TASKS]),
                tasks.claimed_at.is_not(None),
            )
        )
        for row in running:
            for month, seconds in by_month(row.claimed_at, max(now, row.claimed_at)):
                if month >= since:
                    hours = seconds / HOUR_S
                    found[row.tenant_id, month, row.pool] += Used(
                        cpu_hours=hours * row.cpus,
                        gpu_hours=hours * row.gpu_share,
                        cost=hours * row.gpu_share * row.price,
                    )
        return dict(found)
