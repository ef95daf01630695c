"""What charts read: many rows at once, and of each only what is drawn."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, or_, select, text

from tuning_service.domain.outlines import TaskOutline, TrialOutline
from tuning_service.domain.state import OPEN_TASKS, TrialStatus
from tuning_service.storage.tables import measurements, trials, tuning_jobs, tuning_tasks
from tuning_service.storage.tables_curves import curves
from tuning_service.storage.writes import upsert

# Measurements of a metric from which on an execution's curve is worth reducing.
LONG = 64
_AT_ONCE = 500  # ids in one statement
_CHUNK = 10_000
_TRIAL = (
    trials.c.number,
    trials.c.params,
    trials.c.status,
    trials.c.value,
    trials.c["values"],
    trials.c.violation,
    trials.c.created_at,
    trials.c.started_at,
    trials.c.ended_at,
    trials.c.settled,
)
_TASK = tuple(tuning_tasks.c[name] for name in TaskOutline._fields)
# Ended for good: such a row does not change any more.
_OVER = (str(TrialStatus.COMPLETED), str(TrialStatus.FAILED))
Point = Sequence[Any]  # step, seconds, value: None for nan

# The first and the last measurement, and between them those that come next after equal distances: each found by the
# primary key, however many there are. Seeks are ordered and limited, since min() would read all of another metric too.
_SAMPLED = text("""
WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < CAST(:last AS BIGINT)),
ends AS MATERIALIZED (
  SELECT t.id AS task_id,
    (SELECT m.step FROM measurements m WHERE m.task_id = t.id AND m.metric = :metric
      ORDER BY m.step LIMIT 1) AS low,
    (SELECT m.step FROM measurements m WHERE m.task_id = t.id AND m.metric = :metric
      ORDER BY m.step DESC LIMIT 1) AS high
  FROM tuning_tasks t WHERE t.id IN :tasks
)
SELECT DISTINCT m.task_id, m.step, m.elapsed_s, m.value
FROM ends e CROSS JOIN k JOIN measurements m ON m.task_id = e.task_id AND m.metric = :metric AND m.step = (
  SELECT s.step FROM measurements s WHERE s.task_id = e.task_id AND s.metric = :metric
    AND s.step >= CASE WHEN k.n = CAST(:last AS BIGINT) THEN e.high
                       ELSE e.low + (e.high - e.low) / CAST(:last AS BIGINT) * k.n END
  ORDER BY s.step LIMIT 1)
ORDER BY m.task_id, m.step
""").bindparams(bindparam("tasks", expanding=True))
_LONG = text(f"""
SELECT t.id FROM tuning_tasks t WHERE t.id IN :tasks AND EXISTS (
  SELECT 1 FROM (SELECT 1 FROM measurements m WHERE m.task_id = t.id AND m.metric = :metric
    LIMIT 1 OFFSET {LONG - 1}) AS one)
""").bindparams(bindparam("tasks", expanding=True))  # noqa: S608  # a number of ours
_STATUS = select(tuning_tasks.c.status).where(tuning_tasks.c.id == bindparam("task"))
_LONG_METRICS = (
    select(measurements.c.metric)
    .where(measurements.c.task_id == bindparam("task"))
    .group_by(measurements.c.metric)
    .having(func.count() >= LONG)
)


class CompletedTrial(NamedTuple):
    """The end of a trial that completed, for the line of its job in a list."""

    job_id: str
    settled: int
    value: float | None
    violation: float


class OutlineRows:
    """Rows of one tenant, for charts. Ids of tasks are those that `tasks` told of."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def trials(self, job_id: str, *, after: int) -> list[TrialOutline]:
        """Those that were settled after the `after`-th end (-1: all), and all that may still change."""
        query = select(*_TRIAL).where(
            trials.c.job_id == job_id,
            trials.c.tenant_id == self._tenant_id,
            or_(trials.c.settled > after, trials.c.settled.is_(None), trials.c.status.not_in(_OVER)),
        )
        return [TrialOutline._make(row) for row in self._connection.execute(query)]

    def tasks(self, job_id: str, *, ended_since: float) -> list[TaskOutline]:
        """Those that have not ended, or did at that time or later."""
        query = select(*_TASK).where(
            tuning_tasks.c.job_id == job_id,
            tuning_tasks.c.tenant_id == self._tenant_id,
            or_(tuning_tasks.c.ended_at.is_(None), tuning_tasks.c.ended_at >= ended_since),
        )
        found = [TaskOutline._make(row) for row in self._connection.execute(query)]
        return [task._replace(gpus=tuple(task.gpus)) for task in found]

    def newest_metrics(self, job_id: str) -> list[str]:
        """Names of all metrics that the trial settled last has measured, sorted."""
        query = (
            select(trials.c.metrics)
            .where(trials.c.job_id == job_id, trials.c.tenant_id == self._tenant_id, trials.c.settled.is_not(None))
            .order_by(trials.c.settled.desc())
            .limit(1)
        )
        return sorted(self._connection.execute(query).scalar() or {})

    def specs(self, job_ids: Collection[str]) -> dict[str, str]:
        """The specs of this tenant's jobs of these, as JSON."""
        query = select(tuning_jobs.c.id, tuning_jobs.c.spec).where(
            tuning_jobs.c.id.in_(list(job_ids)), tuning_jobs.c.tenant_id == self._tenant_id
        )
        return {row.id: row.spec for row in self._connection.execute(query)}

    def completed_counts(self, job_ids: Collection[str]) -> dict[str, int]:
        """How many trials have completed, for jobs in which any has. An index answers this."""
        query = (
            select(trials.c.job_id, func.count())
            .where(trials.c.job_id.in_(list(job_ids)), trials.c.status == str(TrialStatus.COMPLETED))
            .group_by(trials.c.job_id)
        )
        return {row[0]: row[1] for row in self._connection.execute(query)}

    def completed(self, after: Mapping[str, int]) -> list[CompletedTrial]:
        """Of each job, trials that completed and were settled after its `after`-th end, in that order."""
        if not after:
            return []
        place = func.coalesce(trials.c.settled, trials.c.number)
        query = (
            select(trials.c.job_id, place, trials.c.value, trials.c.violation)
            .where(
                trials.c.tenant_id == self._tenant_id,
                trials.c.status == str(TrialStatus.COMPLETED),
                or_(*(and_(trials.c.job_id == job_id, place > since) for job_id, since in after.items())),
            )
            .order_by(trials.c.job_id, place)
        )
        # All at once: a row at a time, as iterating fetches them, takes twice as long.
        return [CompletedTrial._make(row) for row in self._connection.execute(query).all()]

    # -- curves

    def kept(self, task_ids: Sequence[str], metric: str) -> dict[str, bytes]:
        """Reduced curves, by task."""
        return {
            row.task_id: row.data
            for ids in _pieces(task_ids)
            for row in self._connection.execute(
                select(curves.c.task_id, curves.c.data).where(curves.c.task_id.in_(ids), curves.c.metric == metric)
            )
        }

    def long(self, task_ids: Sequence[str], metric: str) -> set[str]:
        """The tasks that have so many measurements that reading all of all would take long."""
        return {
            row.id
            for ids in _pieces(task_ids)
            for row in self._connection.execute(_LONG, {"tasks": ids, "metric": metric})
        }

    def measured(self, task_ids: Sequence[str], metric: str) -> dict[str, list[Point]]:
        """All measurements, by task, as (step, seconds, value) by step: for tasks that are not long."""
        columns = (measurements.c.task_id, measurements.c.step, measurements.c.elapsed_s, measurements.c.value)
        found: dict[str, list[Point]] = {}
        for ids in _pieces(task_ids):
            query = select(*columns).where(measurements.c.task_id.in_(ids), measurements.c.metric == metric)
            for task_id, *point in self._connection.execute(
                query.order_by(measurements.c.task_id, measurements.c.step)
            ):
                found.setdefault(task_id, []).append((point[0], point[1], point[2]))
        return found

    def sampled(self, task_ids: Sequence[str], metric: str, count: int) -> dict[str, list[Point]]:
        """`count` measurements of each task at equal distances of their steps, the first and the last among them."""
        found: dict[str, list[Point]] = {}
        for ids in _pieces(task_ids):
            rows = self._connection.execute(_SAMPLED, {"tasks": ids, "metric": metric, "last": count - 1})
            for task_id, step, elapsed_s, value in rows:
                found.setdefault(task_id, []).append((step, elapsed_s, value))
        return found


class CurveRows:
    """Measurements of any task, for those who reduce them, and what they make of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def has_ended(self, task_id: str) -> bool:
        """False for one that is open, and for one that is gone."""
        status = self._connection.execute(_STATUS, {"task": task_id}).scalar()
        return status is not None and status not in OPEN_TASKS

    def long_metrics(self, task_id: str) -> list[str]:
        """Metrics of which the task has many measurements."""
        return list(self._connection.execute(_LONG_METRICS, {"task": task_id}).scalars())

    def points(self, task_id: str, metric: str) -> Iterator[Sequence[Point]]:
        """All measurements as (step, seconds, value) by step, some thousands at a time."""
        query = (
            select(measurements.c.step, measurements.c.elapsed_s, measurements.c.value)
            .where(measurements.c.task_id == task_id, measurements.c.metric == metric)
            .order_by(measurements.c.step)
        )
        return self._connection.execute(query.execution_options(yield_per=_CHUNK)).partitions()

    def keep(self, task_id: str, metric: str, data: bytes) -> None:
        """Store a reduced curve, in place of an earlier one; of a task that is gone, nothing."""
        # Locked, so that a job's deletion comes wholly before or after.
        there = select(tuning_tasks.c.id).where(tuning_tasks.c.id == task_id).with_for_update(read=True)
        if self._connection.execute(there).first() is not None:
            upsert(self._connection, curves, [{"task_id": task_id, "metric": metric, "data": data}])


def _pieces(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield list(ids[start : start + _AT_ONCE])
