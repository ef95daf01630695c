"""One tenant's rows. Whatever is asked for here, another tenant's object is not found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from tuning_service.domain.errors import Conflict, NotFound, TryAgain
from tuning_service.domain.job import Goal, JobSpec, TuningJob
from tuning_service.domain.principal import Tenant
from tuning_service.domain.state import OPEN_TRIALS, JobTarget, TrialStatus
from tuning_service.domain.trial import NOT_ITS_OWN, Measurement, Observation, QueuedPoint, Trial, TuningTask
from tuning_service.storage.job_list import JobListRows
from tuning_service.storage.job_overview import JobOverviewRows
from tuning_service.storage.last_values import LastValueRows
from tuning_service.storage.plugins import PluginRows
from tuning_service.storage.rows import (
    AnyRow,
    job_from,
    job_values,
    measurement_from,
    point_from,
    spec_values,
    task_from,
    trial_from,
    warm_values,
)
from tuning_service.storage.tables import (
    events,
    measurements,
    programs,
    queued_points,
    trials,
    tuning_jobs,
    tuning_tasks,
    warm_trials,
)
from tuning_service.storage.usage import QuotaRows, UsageRows
from tuning_service.storage.writes import add_event, insert_if_new

_OPEN_TRIALS = [str(s) for s in OPEN_TRIALS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A stored bundle; `files` are relative POSIX paths."""

    digest: str
    bytes: int
    files: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job. Ids rise, but one may be committed after a higher one."""

    id: int
    job_id: str
    kind: str  # "job" or "trial"
    data: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOrder:
    """How trials are sorted: by `column` ("number", "value" or "ended_at"), those without one last."""

    column: str = "number"
    descending: bool = False
    feasible_first: bool = False  # those that meet the metric constraints, then those that nearly do


class TenantScope:
    """Rows of one tenant, for the manager floor."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self.plugins = PluginRows(connection, tenant_id)
        self.usage = UsageRows(connection, tenant_id)
        self.listing = JobListRows(connection, tenant_id)
        self.overview = JobOverviewRows(connection, tenant_id)
        self.last_values = LastValueRows(connection, tenant_id)

    def lock(self) -> Tenant:
        """The tenant, whose quotas nobody else draws on until the transaction ends."""
        return QuotaRows(self._connection).lock(self._tenant_id)

    # -- programs

    def add_program(self, program: Program) -> None:
        """Storing the same content again changes nothing, also when two do so at once."""
        row = {
            "tenant_id": self._tenant_id,
            "digest": program.digest,
            "bytes": program.bytes,
            "files": list(program.files),
            "created_at": program.created_at,
        }
        insert_if_new(self._connection, programs, row)

    def program(self, digest: str) -> Program | None:
        """The program, or None when this tenant has not uploaded it."""
        row = self._connection.execute(
            select(programs).where(programs.c.tenant_id == self._tenant_id, programs.c.digest == digest)
        ).first()
        return None if row is None else _program_from(row)

    def programs(self, *, after: str, limit: int) -> list[Program]:
        """By digest, those above `after`."""
        rows = self._connection.execute(
            select(programs)
            .where(programs.c.tenant_id == self._tenant_id, programs.c.digest > after)
            .order_by(programs.c.digest)
            .limit(limit)
        )
        return [_program_from(row) for row in rows]

    def delete_program(self, digest: str) -> None:
        """The program is unknown from now on; an unknown one too.

        Raises:
            Conflict: a job uses it.
        """
        uses = self._connection.execute(
            select(tuning_jobs.c.id, tuning_jobs.c.name)
            .where(tuning_jobs.c.tenant_id == self._tenant_id, tuning_jobs.c.program == digest)
            .order_by(tuning_jobs.c.id.desc())
            .limit(1)
        ).first()
        if uses is not None:
            raise Conflict(f"Job {uses.id} ({uses.name}) uses this program; delete its jobs first.")
        try:
            self._connection.execute(
                delete(programs).where(programs.c.tenant_id == self._tenant_id, programs.c.digest == digest)
            )
        except IntegrityError as error:  # one that was submitted this moment
            raise Conflict("A job uses this program; delete its jobs first.") from error

    # -- jobs

    def add_job(self, job: TuningJob, warm: Sequence[Observation] = ()) -> None:
        """Store a job, and what it learned of earlier ones. Raises TryAgain."""
        values = job_values(job) | {"tenant_id": self._tenant_id}
        try:
            self._connection.execute(insert(tuning_jobs).values(**values))
        except IntegrityError as error:
            raise TryAgain("This job's program is being deleted.", detail=str(error)) from error
        add_event(self._connection, job.id, "job", {"status": str(job.status), "reason": ""}, job.created_at)
        rows = [warm_values(job.id, place, observation) for place, observation in enumerate(warm)]
        if rows:
            self._connection.execute(insert(warm_trials), rows)

    def job(self, job_id: str, *, lock: bool = False) -> TuningJob:
        """`lock`: nobody else writes the job's row until the transaction ends. Raises NotFound."""
        query = select(tuning_jobs).where(tuning_jobs.c.id == job_id, tuning_jobs.c.tenant_id == self._tenant_id)
        # As a key it may be referred to: runners that claim its tasks do not wait.
        row = self._connection.execute(query.with_for_update(key_share=True) if lock else query).first()
        if row is None:
            raise NotFound(f"There is no tuning job {job_id!r}.")
        return job_from(row)

    def set_target(self, job: TuningJob, target: JobTarget, now: float) -> None:
        """What the tenant wants of the job from now on. Raises NotFound."""
        changed = self._connection.execute(
            update(tuning_jobs)
            .where(tuning_jobs.c.id == job.id, tuning_jobs.c.tenant_id == self._tenant_id)
            .values(target=str(target))
        )
        if not changed.rowcount:
            raise NotFound(f"There is no tuning job {job.id!r}.")
        add_event(self._connection, job.id, "job", {"status": str(job.status), "target": str(target)}, now)

    def change_job(self, job: TuningJob, spec: JobSpec, changed: Mapping[str, Any], now: float) -> None:
        """Give the job another name or budget; `changed` is told to those who watch it. Raises NotFound."""
        stored = self._connection.execute(
            update(tuning_jobs)
            .where(tuning_jobs.c.id == job.id, tuning_jobs.c.tenant_id == self._tenant_id)
            .values(**spec_values(spec), edits=tuning_jobs.c.edits + 1)
        )
        if not stored.rowcount:
            raise NotFound(f"There is no tuning job {job.id!r}.")
        data = {"status": str(job.status), "target": str(job.target), "changed": dict(changed)}
        add_event(self._connection, job.id, "job", data, now)

    def request_trial_stop(self, trial: Trial, now: float) -> bool:
        """The trial shall end, for good; False when it has ended."""
        asked = self._connection.execute(
            update(trials)
            .where(trials.c.id == trial.id, trials.c.tenant_id == self._tenant_id, trials.c.status.in_(_OPEN_TRIALS))
            .values(stop_requested=True)
        )
        if asked.rowcount and not trial.stop_requested:
            data = {"number": trial.number, "status": str(trial.status), "stop_requested": True}
            add_event(self._connection, trial.job_id, "trial", data, now)
        return bool(asked.rowcount)

    def add_points(self, job_id: str, points: Sequence[QueuedPoint]) -> None:
        """Put `points` into the job's queue. Raises NotFound."""
        if not points:
            return
        changed = self._connection.execute(
            update(tuning_jobs)
            .where(tuning_jobs.c.id == job_id, tuning_jobs.c.tenant_id == self._tenant_id)
            .values(queued_points=tuning_jobs.c.queued_points + len(points))
        )
        if not changed.rowcount:
            raise NotFound(f"There is no tuning job {job_id!r}.")
        self._connection.execute(
            insert(queued_points),
            [
                {
                    "job_id": job_id,
                    "position": p.position,
                    "params": dict(p.params),
                    "source": p.source,
                    "trial": p.trial,
                }
                for p in points
            ],
        )

    def points(self, job_id: str, *, after: int = -1, limit: int | None = None) -> list[QueuedPoint]:
        """All points that were ever queued, those that have a trial included, by position above `after`."""
        rows = self._connection.execute(
            select(queued_points)
            .join(tuning_jobs, tuning_jobs.c.id == queued_points.c.job_id)
            .where(queued_points.c.job_id == job_id, tuning_jobs.c.tenant_id == self._tenant_id)
            .where(queued_points.c.position > literal(after, BigInteger))  # of a cursor, which may be anything
            .order_by(queued_points.c.position)
            .limit(limit)
        )
        return [point_from(row) for row in rows]

    def last_position(self, job_id: str) -> int:
        """Of the points that were ever queued; 0 without any."""
        return (
            self._connection.scalar(
                select(func.coalesce(func.max(queued_points.c.position), 0))
                .join(tuning_jobs, tuning_jobs.c.id == queued_points.c.job_id)
                .where(queued_points.c.job_id == job_id, tuning_jobs.c.tenant_id == self._tenant_id)
            )
            or 0
        )

    def trial_counts(self, job_ids: Collection[str]) -> dict[str, dict[TrialStatus, int]]:
        """Per job, how many trials are in each status."""
        counts: dict[str, dict[TrialStatus, int]] = {job_id: {} for job_id in job_ids}
        # Whose they are is asked of the jobs: so an index alone answers, however many trials there are.
        rows = self._connection.execute(
            select(trials.c.job_id, trials.c.status, func.count())
            .join(tuning_jobs, tuning_jobs.c.id == trials.c.job_id)
            .where(tuning_jobs.c.id.in_(list(job_ids)), tuning_jobs.c.tenant_id == self._tenant_id)
            .group_by(trials.c.job_id, trials.c.status)
        )
        for job_id, status, count in rows:
            counts[job_id][TrialStatus(status)] = count
        return counts

    def stopped_for_good(self, job_id: str) -> int:
        """How many trials were stopped by themselves, and are not run again when the job is resumed."""
        chosen = trials.c.job_id == job_id, trials.c.tenant_id == self._tenant_id, trials.c.settled.is_not(None)
        return self._connection.execute(
            select(func.count()).where(*chosen, trials.c.status == str(TrialStatus.STOPPED))
        ).scalar_one()

    def best_trials(self, job_id: str, goal: Goal, limit: int) -> list[Trial]:
        """Completed trials, best first by the first objective; of equal ones the earlier.

        Those that violate metric constraints come after those that do not, the nearest to meeting them first.
        """
        order = trials.c.value.asc() if goal is Goal.MINIMIZE else trials.c.value.desc()
        completed = self._trials(job_id).where(trials.c.status == str(TrialStatus.COMPLETED))
        # Two questions, so that an index answers each.
        feasible = completed.where(trials.c.violation == 0).order_by(order, trials.c.number).limit(limit)
        found = self._connection.execute(feasible).all()
        if len(found) < limit:
            rest = completed.where(trials.c.violation > 0).order_by(trials.c.violation, order, trials.c.number)
            found = [*found, *self._connection.execute(rest.limit(limit - len(found)))]
        return [trial_from(row) for row in found]

    def failed_trials(self, job_id: str, limit: int) -> list[Trial]:
        """Newest first, without those that say nothing of their configurations."""
        failed = self._trials(job_id).where(
            trials.c.status == str(TrialStatus.FAILED), trials.c.fault.not_in([str(f) for f in NOT_ITS_OWN])
        )
        rows = self._connection.execute(failed.order_by(trials.c.number.desc()).limit(limit))
        return [trial_from(row) for row in rows]

    def numbered_trials(self, job_id: str, numbers: Sequence[int]) -> list[Trial]:
        """In the order of `numbers`; those that are not there are left out."""
        rows = self._connection.execute(self._trials(job_id).where(trials.c.number.in_(list(numbers))))
        by_number = {row.number: trial_from(row) for row in rows}
        return [by_number[number] for number in numbers if number in by_number]

    # -- trials

    def _trials(self, job_id: str) -> Select[Any]:
        return select(trials).where(trials.c.job_id == job_id, trials.c.tenant_id == self._tenant_id)

    def trials(
        self,
        job_id: str,
        *,
        order: TrialOrder,
        after: Sequence[float] | None,
        limit: int,
        statuses: Collection[TrialStatus] = (),
        offset: int = 0,
    ) -> list[tuple[Trial, list[float]]]:
        """Trials with their sort keys; `after` is the key of the last one seen, `offset` how many are left out."""
        column = trials.c[order.column]
        sign = -1 if order.descending else 1
        keys: list[ColumnElement[Any]] = [
            func.coalesce(column * 0, 1),  # 1 where there is no value: those come last
            trials.c.violation if order.feasible_first else literal(0.0),
            func.coalesce(column * sign, 0),
            trials.c.number,  # of equal ones the earlier, as in `best_trials`
        ]
        query = self._trials(job_id).add_columns(*(k.label(f"key_{i}") for i, k in enumerate(keys)))
        if statuses:
            query = query.where(trials.c.status.in_([str(s) for s in statuses]))
        if after is not None:
            query = query.where(tuple_(*keys) > tuple_(*after))
        rows = self._connection.execute(query.order_by(*keys).limit(limit).offset(offset))
        return [(trial_from(row), [row.key_0, row.key_1, row.key_2, row.key_3]) for row in rows]

    def trial(self, job_id: str, number: int) -> Trial:
        """Raises NotFound."""
        row = self._connection.execute(self._trials(job_id).where(trials.c.number == number)).first()
        if row is None:
            raise NotFound(f"There is no trial {number} in job {job_id!r}.")
        return trial_from(row)

    def tasks(self, trial_id: str) -> list[TuningTask]:
        """All executions of a trial, oldest first."""
        rows = self._connection.execute(
            select(tuning_tasks)
            .where(tuning_tasks.c.trial_id == trial_id, tuning_tasks.c.tenant_id == self._tenant_id)
            .order_by(tuning_tasks.c.number)
        )
        return [task_from(row) for row in rows]

    def measurements(
        self, task_id: str, *, metric: str | None, after: tuple[int, str] | None, limit: int
    ) -> list[Measurement]:
        """Of one task of this tenant, by step and metric."""
        query = (
            select(measurements)
            .join(tuning_tasks, tuning_tasks.c.id == measurements.c.task_id)
            .where(measurements.c.task_id == task_id, tuning_tasks.c.tenant_id == self._tenant_id)
        )
        if metric is not None:
            query = query.where(measurements.c.metric == metric)
        if after is not None:
            query = query.where(tuple_(measurements.c.step, measurements.c.metric) > tuple_(*after))
        rows = self._connection.execute(query.order_by(measurements.c.step, measurements.c.metric).limit(limit))
        return [measurement_from(row) for row in rows]

    # -- events

    def events(self, job_id: str, *, after: int, limit: int) -> list[Event]:
        """Those with higher ids, in their order."""
        rows = self._connection.execute(
            select(events)
            .join(tuning_jobs, tuning_jobs.c.id == events.c.job_id)
            .where(
                events.c.job_id == job_id,
                events.c.id > literal(after, BigInteger),
                tuning_jobs.c.tenant_id == self._tenant_id,
            )
            .order_by(events.c.id)
            .limit(limit)
        )
        return [Event(id=r.id, job_id=r.job_id, kind=r.kind, data=r.data, at=r.at) for r in rows]


def _program_from(row: AnyRow) -> Program:
    return Program(digest=row.digest, bytes=row.bytes, files=tuple(row.files), created_at=row.created_at)
