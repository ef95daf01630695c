"""What a controller reads and writes: leases, and the rows of the job that a lease is for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, text, update

from tuning_service.domain.errors import LeaseLost
from tuning_service.domain.job import TuningJob
from tuning_service.domain.principal import Tenant
from tuning_service.domain.state import (
    OPEN_TASKS,
    OPEN_TRIALS,
    JobStatus,
    JobTarget,
    TaskStatus,
    TrialStatus,
)
from tuning_service.domain.trial import (
    Failure,
    FaultKind,
    Measurement,
    Observation,
    Outcome,
    QueuedPoint,
    Trial,
    TuningTask,
)
from tuning_service.storage.leases import Lease, LeaseRows
from tuning_service.storage.rows import (
    job_from,
    job_values,
    measurement_from,
    point_from,
    task_from,
    task_values,
    tenant_from,
    trial_from,
    trial_values,
    warm_from,
)
from tuning_service.storage.tables import (
    measurements,
    programs,
    queued_points,
    tenants,
    trials,
    tuning_jobs,
    tuning_tasks,
    warm_trials,
)
from tuning_service.storage.usage import account
from tuning_service.storage.writes import add_event

__all__ = ["ControlRows", "Lease", "OpenWork"]

_OPEN_TASKS = [str(s) for s in OPEN_TASKS]


# Built once: making a statement costs more than running it, and these run for every step.
_JOB = select(tuning_jobs).where(tuning_jobs.c.id == bindparam("job"))
# Not of trials that ended for good: a long job has many, and counting them would take longer than the rest of a step.
_COUNTS = (
    select(trials.c.status, func.count())
    .where(
        trials.c.job_id == bindparam("job"),
        trials.c.status.in_([str(s) for s in (*OPEN_TRIALS, TrialStatus.STOPPED)]),
    )
    .group_by(trials.c.status)
)
# As its index has it: SQLAlchemy would write `= 1`, in which SQLite does not see the condition of that index.
_UNSETTLED = text("tuning_tasks.unsettled")
# Not ordered: SQLite would walk through all trials in the order of their numbers.
_OPEN_TRIALS = select(trials).where(
    trials.c.job_id == bindparam("job"), trials.c.status.in_([str(s) for s in OPEN_TRIALS])
)
# The job is named in each alternative, so that an index serves each.
_WORK = select(tuning_tasks).where(
    or_(
        and_(tuning_tasks.c.job_id == bindparam("job"), tuning_tasks.c.status.in_(_OPEN_TASKS)),
        and_(tuning_tasks.c.job_id == bindparam("job"), _UNSETTLED),
    )
)
_MEASUREMENTS = select(measurements).where(measurements.c.task_id == bindparam("task")).order_by(measurements.c.step)
_FENCE = (
    update(tuning_jobs)
    .where(tuning_jobs.c.id == bindparam("job"), tuning_jobs.c.lease_epoch == bindparam("epoch"))
    .values(lease_epoch=bindparam("epoch"))
)
_FENCE_AS_SEEN = _FENCE.where(
    tuning_jobs.c.queued_points == bindparam("points"), tuning_jobs.c.edits == bindparam("edit")
)
_POINTS = (
    select(queued_points)
    .where(queued_points.c.job_id == bindparam("job"), queued_points.c.trial.is_(None))
    .order_by(queued_points.c.position)
    .limit(bindparam("most"))
)
# Columns of a job that a controller leaves alone.
_OF_SUBMISSION = frozenset(
    {
        *("id", "tenant_id", "spec", "program", "pool", "framework", "algorithm", "name", "target", "owner"),
        *("owner_name", "created_at", "warm_start_report"),
    }
)
# The same of a trial.
_OF_ITS_START = (
    *("id", "job_id", "tenant_id", "number", "params", "source", "tasks", "stop_requested", "created_at", "started_at"),
)
_TARGETS = select(tuning_jobs.c.id, tuning_jobs.c.target).where(tuning_jobs.c.id.in_(bindparam("jobs")))
_WITH_UNSETTLED = select(tuning_tasks.c.job_id).where(_UNSETTLED).distinct()
_LOST = select(tuning_tasks.c.trial_id, tuning_tasks.c.outcome, tuning_tasks.c.ended_at).where(
    tuning_tasks.c.trial_id.in_(bindparam("trials")), tuning_tasks.c.status == str(TaskStatus.LOST)
)
_ADD_TRIALS, _ADD_TASKS = insert(trials), insert(tuning_tasks)
_TRIALS_LAUNCHED = (
    update(trials)
    .where(trials.c.id.in_(bindparam("launched")))
    .values(status=str(TrialStatus.RUNNING), tasks=trials.c.tasks + 1)
)
_SUBMITTED = (
    update(tuning_tasks)
    .where(tuning_tasks.c.id.in_(bindparam("submitted")), tuning_tasks.c.status == str(TaskStatus.CREATED))
    .values(status=str(TaskStatus.SUBMITTED))
)
_HOLD = (
    select(tuning_tasks.c.id)
    .where(tuning_tasks.c.id.in_(bindparam("held")))
    .order_by(tuning_tasks.c.id)
    .with_for_update()
)
_SETTLE = update(tuning_tasks).where(tuning_tasks.c.id == bindparam("task")).values(unsettled=False)
_SET_TRIAL = update(trials).where(trials.c.id == bindparam("trial"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """What of a job is not finished: trials to run or running, and tasks that are open or not settled yet."""

    trials: tuple[Trial, ...]
    tasks: tuple[TuningTask, ...]
    open_counts: Mapping[TrialStatus, int]  # trials that have not ended for good: queued, running, stopped


class Losses(NamedTuple):
    """How often a trial was lost by the cluster, and by whomever, and when last."""

    by_cluster: int = 0
    all: int = 0
    last: float = 0.0


class ControlRows(LeaseRows):
    """Rows for controllers. Methods that write a job's rows come after `fence` in the same transaction."""

    def fence(self, lease: Lease, *, seen: TuningJob | None = None) -> bool:
        """Lock the job until the transaction ends. False when its tenant has changed it since it was `seen`.

        That is: its budget or name, or how many points are queued.

        Raises:
            LeaseLost: another controller took it, or it was deleted.
        """
        held = {"job": lease.job_id, "epoch": lease.epoch}
        if seen is not None:
            as_seen = held | {"points": seen.queued_points, "edit": seen.edits}
            if self._connection.execute(_FENCE_AS_SEEN, as_seen).rowcount:
                return True
        if not self._connection.execute(_FENCE, held).rowcount:
            raise LeaseLost
        return seen is None

    # -- reading

    def job(self, job_id: str) -> TuningJob | None:
        row = self._connection.execute(_JOB, {"job": job_id}).first()
        return None if row is None else job_from(row)

    def tenant(self, tenant_id: str) -> Tenant:
        return tenant_from(self._connection.execute(select(tenants).where(tenants.c.id == tenant_id)).one())

    def targets(self, job_ids: Collection[str]) -> dict[str, JobTarget]:
        """What the tenants want of these jobs; a job that is gone is missing."""
        rows = self._connection.execute(_TARGETS, {"jobs": list(job_ids)})
        return {job_id: JobTarget(target) for job_id, target in rows}

    def with_unsettled_tasks(self) -> set[str]:
        """Ids of jobs of which a task ended and nobody has drawn the conclusions."""
        return set(self._connection.execute(_WITH_UNSETTLED).scalars())

    def program_files(self, tenant_id: str, digest: str) -> tuple[str, ...]:
        """Relative POSIX paths of the files in a job's program, which is there as long as the job."""
        chosen = programs.c.tenant_id == tenant_id, programs.c.digest == digest
        return tuple(self._connection.execute(select(programs.c.files).where(*chosen)).scalar_one())

    def open_work(self, job_id: str) -> OpenWork:
        """What a step has to look at: its size is bounded by the job's parallelism, not by its length."""
        counts = self._connection.execute(_COUNTS, {"job": job_id})
        open_trials = self._connection.execute(_OPEN_TRIALS, {"job": job_id})
        tasks = self._connection.execute(_WORK, {"job": job_id})
        return OpenWork(
            open_counts={TrialStatus(status): count for status, count in counts},
            trials=tuple(sorted((trial_from(row) for row in open_trials), key=lambda trial: trial.number)),
            tasks=tuple(task_from(row) for row in tasks),
        )

    def queued_points(self, job_id: str, most: int) -> list[QueuedPoint]:
        """The first of the user's points that have no trial yet."""
        return [point_from(row) for row in self._connection.execute(_POINTS, {"job": job_id, "most": most})]

    def settled_trials(self, job_id: str) -> list[Trial]:
        """Trials that ended for good, in the order in which their ends were taken in."""
        rows = self._connection.execute(
            select(trials).where(trials.c.job_id == job_id, trials.c.settled.is_not(None)).order_by(trials.c.settled)
        )
        return [trial_from(row) for row in rows]

    def warm_trials(self, job_id: str) -> list[Observation]:
        """What the job's algorithm learned of earlier jobs, in order; numbered from below zero up to -1."""
        rows = self._connection.execute(
            select(warm_trials).where(warm_trials.c.job_id == job_id).order_by(warm_trials.c.position)
        ).all()
        return [warm_from(row, row.position - len(rows)) for row in rows]

    def measurements(self, task_id: str) -> list[Measurement]:
        """All of one task, by step."""
        rows = self._connection.execute(_MEASUREMENTS, {"task": task_id})
        return [measurement_from(row) for row in rows]

    def losses(self, trial_ids: Collection[str]) -> dict[str, Losses]:
        """How often executions of each were lost, without those that were only to go elsewhere."""
        if not trial_ids:
            return {}
        found: dict[str, Losses] = {}
        for row in self._connection.execute(_LOST, {"trials": list(trial_ids)}):
            if row.outcome.get("failure") != str(Failure.CORDONED):
                known = found.get(row.trial_id, Losses())
                by_cluster = row.outcome["fault"] == str(FaultKind.CLUSTER)
                found[row.trial_id] = Losses(
                    by_cluster=known.by_cluster + by_cluster, all=known.all + 1, last=max(known.last, row.ended_at)
                )
        return found

    # -- writing, after `fence`

    def set_job(self, job: TuningJob, now: float) -> None:
        """Store where the job is now. Its target is the tenant's and stays as it is, with one exception.

        A job that ended by itself is wanted to rest, so that a later resume is a change of its target.
        """
        values = job_values(job)
        for name in _OF_SUBMISSION:
            del values[name]
        self._connection.execute(update(tuning_jobs).where(tuning_jobs.c.id == job.id).values(**values))
        if job.status in {JobStatus.FAILED, JobStatus.COMPLETED}:
            self._connection.execute(
                update(tuning_jobs)
                .where(tuning_jobs.c.id == job.id, tuning_jobs.c.target == str(JobTarget.RUNNING))
                .values(target=str(JobTarget.STOPPED))
            )
        add_event(self._connection, job.id, "job", {"status": str(job.status), "reason": job.reason}, now)

    def set_model_best(self, job: TuningJob) -> None:
        """Store which trial is best by the algorithm's model."""
        self._connection.execute(
            update(tuning_jobs)
            .where(tuning_jobs.c.id == job.id)
            .values(model_best_trial=job.model_best_trial, model_best_value=job.model_best_value)
        )

    def add_trials(self, new: Sequence[Trial]) -> None:
        if new:
            self._connection.execute(_ADD_TRIALS, [trial_values(trial) for trial in new])

    def take_points(self, job_id: str, taken: Mapping[int, int]) -> None:
        """Queued points have become trials, in this transaction: the trials' numbers by the points' positions."""
        if not taken:
            return
        self._connection.execute(
            update(queued_points)
            .where(queued_points.c.job_id == job_id, queued_points.c.position == bindparam("place"))
            .values(trial=bindparam("number")),
            [{"place": position, "number": number} for position, number in taken.items()],
        )
        self._connection.execute(
            update(tuning_jobs)
            .where(tuning_jobs.c.id == job_id)
            .values(queued_points=tuning_jobs.c.queued_points - len(taken))
        )

    def add_tasks(self, new: Sequence[TuningTask]) -> None:
        """Store tasks that are about to be launched; their trials are running from now on."""
        if not new:
            return
        self._connection.execute(_ADD_TASKS, [task_values(task) for task in new])
        self._connection.execute(_TRIALS_LAUNCHED, {"launched": [task.trial_id for task in new]})

    def withdraw(self, tasks: Sequence[TuningTask]) -> None:
        """Take back tasks that were stored and could not be launched: as if they had never been."""
        for task in tasks:
            gone = self._connection.execute(
                delete(tuning_tasks).where(
                    tuning_tasks.c.id == task.id, tuning_tasks.c.status == str(TaskStatus.CREATED)
                )
            )
            if gone.rowcount:
                self._connection.execute(
                    update(trials)
                    .where(trials.c.id == task.trial_id)
                    .values(status=str(TrialStatus.QUEUED), tasks=trials.c.tasks - 1)
                )

    def mark_submitted(self, task_ids: Collection[str]) -> None:
        """Store that Spark has them; those that a runner claimed meanwhile stay claimed."""
        if task_ids:
            self._connection.execute(_SUBMITTED, {"submitted": list(task_ids)})

    def request_stop(self, task_ids: Collection[str]) -> None:
        """The answer to each one's next report is STOP."""
        if not task_ids:
            return
        self._connection.execute(
            update(tuning_tasks).where(tuning_tasks.c.id.in_(list(task_ids))).values(stop_requested=True)
        )

    def hold(self, task_ids: Collection[str]) -> None:
        """Lock these tasks until the transaction ends: all that it changes, before it ends the first of them.

        A runner that reports its end locks its task, and then what its tenant has used, which an end locks here, too.
        """
        self._connection.execute(_HOLD, {"held": list(task_ids)})

    def end_task(self, task: TuningTask, outcome: Outcome, now: float) -> bool:
        """End an open task in its runner's place, with what it used; False when the runner's own report came first."""
        ended = self._connection.execute(
            update(tuning_tasks)
            .where(tuning_tasks.c.id == task.id, tuning_tasks.c.status == str(task.status))
            .values(status=str(outcome.status), outcome=asdict(outcome), ended_at=now, unsettled=False)
        )
        if ended.rowcount:
            account(self._connection, task, now)
        return bool(ended.rowcount)

    def settle(self, task: TuningTask) -> None:
        """The conclusions from this task's end are drawn."""
        self._connection.execute(_SETTLE, {"task": task.id})

    def set_trial(self, trial: Trial, now: float, *, settled: int | None = None) -> None:
        """Store where the trial is now; `settled` is its place in the history when it ended for good."""
        values = trial_values(trial)
        for name in _OF_ITS_START:
            del values[name]
        self._connection.execute(_SET_TRIAL, {"trial": trial.id, **values, "settled": settled})
        data = {"number": trial.number, "status": str(trial.status), "value": trial.value, "reason": trial.reason}
        add_event(self._connection, trial.job_id, "trial", data, now)

    def requeue_stopped(self, job_id: str) -> None:
        """Trials that a stop of the job ended are to be run again."""
        self._connection.execute(
            update(trials)
            .where(trials.c.job_id == job_id, trials.c.status == str(TrialStatus.STOPPED), trials.c.settled.is_(None))
            .values(status=str(TrialStatus.QUEUED), reason="", ended_at=None)
        )

    def delete_job(self, job_id: str) -> None:
        """Remove the job with all rows that belong to it."""
        self._connection.execute(delete(tuning_jobs).where(tuning_jobs.c.id == job_id))
