"""What a runner may read and write: the one task that its token is for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tuning_service.domain.job import TuningJob
from tuning_service.domain.resources import ResourceUse, greatest
from tuning_service.domain.state import OPEN_TASKS, TaskStatus, TrialStatus, move
from tuning_service.domain.trial import Measurement, Outcome, Trial, TuningTask
from tuning_service.storage.resources import ResourceRows
from tuning_service.storage.rows import AnyRow, job_from, task_from, task_values, trial_from, value_to_column
from tuning_service.storage.tables import measurements, trials, tuning_jobs, tuning_tasks
from tuning_service.storage.usage import account
from tuning_service.storage.writes import add_event, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """A task with what it belongs to. `nonce` tells which runner claimed it.

    `parked`: the task has ended, and a runner holds its slot without a training.
    """

    task: TuningTask
    nonce: str
    trial: Trial
    job: TuningJob
    parked: bool = False


# Built once: making a statement costs more than running it, and these run for every trial. SQLite ignores
# FOR UPDATE: there, a writing transaction is alone anyway.
_TASK = select(tuning_tasks).where(tuning_tasks.c.id == bindparam("id"))
_TASK_LOCKED = _TASK.with_for_update()
_TRIAL = select(trials).where(trials.c.id == bindparam("id"))
_JOB = select(tuning_jobs).where(tuning_jobs.c.id == bindparam("id"))
_LATEST = (
    select(tuning_tasks.c.id)
    .where(tuning_tasks.c.handle == bindparam("handle"))
    .order_by(tuning_tasks.c.number.desc())
    .limit(1)
)
_OPEN_TASK = update(tuning_tasks).where(
    tuning_tasks.c.id == bindparam("task"), tuning_tasks.c.status.in_([str(s) for s in OPEN_TASKS])
)
_TRIAL_STARTED = (
    update(trials)
    .where(trials.c.id == bindparam("trial"), trials.c.started_at.is_(None))
    .values(started_at=bindparam("now"))
)


class RunnerRows:
    """Rows around one task, for requests that carry a task token."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def context(self, task_id: str, *, lock: bool = True) -> TaskContext | None:
        """The task and what it belongs to; with `lock`, nobody else changes the task until the transaction ends."""
        row = self._row(task_id, lock=lock)
        if row is None:
            return None
        trial = self._connection.execute(_TRIAL, {"id": row.trial_id}).one()
        job = self._connection.execute(_JOB, {"id": row.job_id}).one()
        return TaskContext(
            task=task_from(row),
            nonce=row.nonce,
            trial=trial_from(trial),
            job=job_from(job),
            parked=row.parked_at is not None,
        )

    def task(self, task_id: str, *, lock: bool = False) -> TuningTask | None:
        """The task alone, locked as in `context`."""
        row = self._row(task_id, lock=lock)
        return None if row is None else task_from(row)

    def _row(self, task_id: str, *, lock: bool) -> AnyRow | None:
        return self._connection.execute(_TASK_LOCKED if lock else _TASK, {"id": task_id}).first()

    def latest_for_handle(self, handle: str) -> str | None:
        """Id of the newest task that runs under this handle."""
        latest: str | None = self._connection.execute(_LATEST, {"handle": handle}).scalar()
        return latest

    def claim(self, task: TuningTask, nonce: str, now: float) -> None:
        """Store that a runner has the task, with the `attempt`, `host` and `gpus` that `task` has."""
        self._set(
            task,
            status=str(move(task.status, TaskStatus.CLAIMED)),
            attempt=task.attempt,
            nonce=nonce,
            host=task.host,
            gpus=list(task.gpus),
            claimed_at=now,
            heartbeat_at=now,
        )
        self._connection.execute(_TRIAL_STARTED, {"trial": task.trial_id, "now": now})
        add_event(
            self._connection,
            task.job_id,
            "trial",
            {"number": task.trial_number, "status": str(TrialStatus.RUNNING), "host": task.host},
            now,
        )

    def take_over(self, lost: TuningTask, successor: TuningTask, outcome: Outcome, now: float) -> None:
        """Close `lost` as settled, and store its successor, which a higher Spark attempt is about to claim."""
        self.end(lost, outcome, now, unsettled=False)
        self._connection.execute(insert(tuning_tasks).values(**task_values(successor)))
        self._connection.execute(update(trials).where(trials.c.id == lost.trial_id).values(tasks=successor.number + 1))

    def report(
        self,
        task: TuningTask,
        points: tuple[Measurement, ...],
        log_bytes: int,
        now: float,
        *,
        withdrawn: Sequence[str] = (),
        log_problem: str = "",
        resources: ResourceUse | None = None,
    ) -> None:
        """Store measurements and the sign of life. A step's value may be reported anew: the last one counts.

        All that was stored of the `withdrawn` metrics goes first.
        """
        if withdrawn:
            mine = measurements.c.task_id == task.id
            self._connection.execute(delete(measurements).where(mine, measurements.c.metric.in_(withdrawn)))
        upsert(
            self._connection,
            measurements,
            [
                {
                    "task_id": task.id,
                    "step": point.step,
                    "metric": point.metric,
                    "value": value_to_column(point.value),
                    "elapsed_s": point.elapsed_s,
                }
                for point in points
            ],
        )
        told: dict[str, Any] = {"log_problem": log_problem} if log_problem else {}
        if points or withdrawn:
            told["measured_at"] = now
        if resources is not None:
            told |= _totals(task, resources)
            if resources.samples:
                ResourceRows(self._connection).add(task.id, resources.samples)
        # A manager that lags behind the others takes nothing back.
        heartbeat_at = max(now, task.heartbeat_at or now)
        self._set(task, heartbeat_at=heartbeat_at, log_bytes=max(log_bytes, task.log_bytes), **told)

    def end(self, task: TuningTask, outcome: Outcome, now: float, *, unsettled: bool = True) -> None:
        """Store how the execution ended, and what it used; the controller draws the conclusions."""
        ended = self._set(
            task,
            status=str(move(task.status, outcome.status)),
            outcome=asdict(outcome),
            unsettled=unsettled,
            ended_at=now,
            heartbeat_at=now,
        )
        if ended:
            account(self._connection, task, now)

    def _set(self, task: TuningTask, **values: Any) -> bool:
        # Only an open task changes: what arrives after its end is ignored, however the race went.
        return bool(self._connection.execute(_OPEN_TASK, {"task": task.id, **values}).rowcount)


def _totals(task: TuningTask, resources: ResourceUse) -> dict[str, Any]:
    """What the execution has come to, which never shrinks."""
    spent = [cpu_s for cpu_s in (task.cpu_s, resources.cpu_s) if cpu_s is not None]
    return {
        "peak_memory_bytes": greatest((task.peak_memory_bytes, resources.peak_memory_bytes)),
        "cpu_s": max(spent, default=None),
    }
