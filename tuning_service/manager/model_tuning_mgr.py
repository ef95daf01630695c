"""ModelTuningMgr: the use cases of tuning. Every one takes the principal who asks."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict
from tuning_service.domain.ids import new_id
from tuning_service.domain.job import Progress, TuningJob
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import OPEN_JOBS, OPEN_TASKS, JobStatus, JobTarget, Role, TrialStatus
from tuning_service.domain.trial import Measurement, QueuedPoint, Trial
from tuning_service.manager.executions import chosen_task
from tuning_service.manager.fronts import Fronts
from tuning_service.manager.histories import with_log_tails
from tuning_service.manager.idempotency import Answer, Keep, once
from tuning_service.manager.job_file import JobFile
from tuning_service.manager.points import check_feasible, enqueue, first_queue
from tuning_service.manager.pool_mgr import check_pool
from tuning_service.manager.progress import views_of, with_pool_trouble
from tuning_service.manager.quotas import check_jobs, check_storage
from tuning_service.manager.so_far import with_last_values
from tuning_service.manager.steering_mgr import check_resumable
from tuning_service.manager.submission import checked, inspected_texts
from tuning_service.manager.views import BestView, FrontView, JobView, LogPiece, TrialView
from tuning_service.manager.warm_start import warm_start
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store, Unit
from tuning_service.storage.tenant_scope import Event, TenantScope, TrialOrder

Made = TypeVar("Made")
Stored = Callable[[Unit, Made], None]  # is told of what a transaction has made, within it


def _nothing(_unit: Unit, _made: object) -> None:
    """Whoever need not be told."""


class ModelTuningMgr:
    """Start, stop, resume, delete, and what came of it. Safe from any thread.

    Requests never touch a job's status: they change its target, and a controller moves the job there.
    """

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        *,
        notify: Callable[[str], None],
        environments: Collection[str] = (),
        clock: Clock = system_clock,
    ) -> None:
        """`notify` is told the id of each job whose target has changed, after the change is stored.

        `environments` are the names of those that the deployment has.
        """
        self._store = store
        self._artifacts = artifacts
        self._notify = notify
        self._environments = environments
        self._clock = clock
        self._fronts = Fronts()

    # -- jobs

    def start(self, principal: Principal, file: JobFile, *, stored: Stored[JobView] = _nothing) -> JobView:
        """The stored job, which a controller takes up at once. `stored` is told of it before that is committed.

        Raises:
            InvalidRequest: with all that is wrong and can be known now; nothing is stored.
            OverQuota: the tenant's quota of jobs or of storage is used up.
        """
        principal.require(Role.MEMBER)
        spec = file.to_spec()
        check_feasible(spec)  # before the transaction: it may take a second
        with self._store.read() as unit:
            warm = warm_start(unit.for_tenant(principal), spec)
            program = unit.for_tenant(principal).program(spec.program)
        texts = inspected_texts(self._artifacts, principal.tenant_id, spec, program)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            tenant = scope.lock()
            check_jobs(scope, tenant)
            check_storage(scope, tenant)
            program, plugins = scope.program(spec.program), scope.plugins.visible()
            pools = unit.pools.all(kept=True)
            spec = checked(spec, program, texts, plugins, principal, pools, warm.problems, self._environments)
            job = TuningJob(
                id=new_id("job"),
                tenant_id=principal.tenant_id,
                spec=spec,
                status=JobStatus.CREATED,
                target=JobTarget.RUNNING,
                reason="",
                owner=principal.key_id,
                owner_name=principal.name,
                created_at=self._clock(),
                warm_start_report=warm.report,
            )
            queue = first_queue(spec)
            scope.add_job(job, warm.observations)
            scope.add_points(job.id, queue)
            job = dataclasses.replace(job, queued_points=len(queue))
            front_size = 0 if len(spec.objectives) > 1 else None
            view = JobView(job=job, progress=Progress(total=spec.budget.trials, front_size=front_size))
            view = with_pool_trouble([view], unit.pools.controllers, self._clock())[0]
            stored(unit, view)
        self._notify(job.id)
        return view

    def job(self, principal: Principal, job_id: str) -> JobView:
        """Raises NotFound."""
        with self._store.read() as unit:
            return self._views(unit, principal, [unit.for_tenant(principal).job(job_id)])[0]

    def stop(self, principal: Principal, job_id: str) -> JobView:
        """Its trainings end within seconds; finished trials stay. Stopping a stopped job changes nothing.

        Raises:
            Conflict: it has ended by itself.
        """
        return self._aim(principal, job_id, JobTarget.STOPPED)

    def resume(self, principal: Principal, job_id: str) -> JobView:
        """A job that has ended goes on where it was, within its budget. Resuming a running job changes nothing.

        Raises:
            Conflict: it has completed, and its budget leaves nothing to do.
        """
        return self._aim(principal, job_id, JobTarget.RUNNING)

    def delete(self, principal: Principal, job_id: str) -> JobView:
        """The job, its trials, measurements and logs go, after its trainings have been ended."""
        return self._aim(principal, job_id, JobTarget.DELETED)

    def add_points(
        self,
        principal: Principal,
        job_id: str,
        points: Sequence[Mapping[str, ParamValue]],
        *,
        stored: Stored[Sequence[QueuedPoint]] = _nothing,
    ) -> Sequence[QueuedPoint]:
        """The points as they were queued, complete: the next free slots take them, before what the algorithm suggests.

        They count within the job's budget of trials, and may repeat what was tried. `stored` as of `start`.

        Raises:
            NotFound
            Conflict: the job has ended, or is about to.
            InvalidRequest: a point is outside the space, or they are more than the trials that are left.
        """
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            queued = enqueue(unit.for_tenant(principal), job_id, points)
            stored(unit, queued)
        self._notify(job_id)
        return queued

    def points(self, principal: Principal, job_id: str, *, after: int, limit: int) -> Sequence[QueuedPoint]:
        """All points that were ever queued for the job, by position above `after`. Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            scope.job(job_id)
            return scope.points(job_id, after=after, limit=limit)

    def _aim(self, principal: Principal, job_id: str, target: JobTarget) -> JobView:
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            job = scope.job(job_id, lock=True)  # of two requests at once the later knows of the earlier
            if job.target is JobTarget.DELETED and target is not JobTarget.DELETED:
                raise Conflict("This job is being deleted.")
            if target is JobTarget.STOPPED and job.status is JobStatus.COMPLETED and job.target is target:
                raise Conflict("This job has completed; it can be resumed with a larger budget, or deleted.")
            if target is JobTarget.STOPPED and job.status is JobStatus.FAILED and job.target is target:
                raise Conflict("This job has failed already; it can be resumed or deleted.")
            if target is not job.target:
                if target is JobTarget.RUNNING and job.status not in OPEN_JOBS:
                    _check_resumption(unit, scope, job)
                scope.set_target(job, target, self._clock())
                job = scope.job(job_id)
            view = self._views(unit, principal, [job])[0]
        self._notify(job_id)
        return view

    def _views(self, unit: Unit, principal: Principal, jobs: Sequence[TuningJob]) -> list[JobView]:
        now = self._clock()
        views = views_of(unit.for_tenant(principal), jobs, self._fronts, now)
        return with_pool_trouble(views, unit.pools.controllers, now)

    # -- trials

    def best(self, principal: Principal, job_id: str, limit: int = 1) -> BestView:
        """Completed trials, best first by the first objective's value; of equal ones the earlier. Raises NotFound.

        Those that meet the metric constraints come first.
        """
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            job = scope.job(job_id)
            trials = scope.best_trials(job_id, job.spec.objective.goal, limit)
            number = job.model_best_trial
            by_model = scope.numbered_trials(job_id, [] if number is None else [number])
        return BestView(
            trials=trials,
            by_model=by_model[0] if by_model else None,
            model_value=job.model_best_value,
            note=BestView.note_on(job.spec, trials),
        )

    def front(self, principal: Principal, job_id: str, limit: int) -> FrontView:
        """Trials that meet all metric constraints and that no other dominates. Raises NotFound.

        With one objective that is the best trial, and those that equal it.
        """
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            completed = scope.trial_counts([job_id])[job_id].get(TrialStatus.COMPLETED, 0)
            numbers = self._fronts.of(scope, scope.job(job_id), completed)
            return FrontView(trials=scope.numbered_trials(job_id, numbers[:limit]), total=len(numbers))

    def trials(
        self,
        principal: Principal,
        job_id: str,
        *,
        order: TrialOrder,
        after: Sequence[float] | None,
        limit: int,
        statuses: Collection[TrialStatus] = (),
    ) -> list[tuple[Trial, list[float]]]:
        """Trials with their sort keys; `after` is the key of the last one seen. Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            spec = scope.job(job_id).spec
            found = scope.trials(job_id, order=order, after=after, limit=limit, statuses=statuses)
            shown = with_last_values(scope, spec, [trial for trial, _ in found])
        return [(trial, key) for trial, (_, key) in zip(shown, found, strict=True)]

    def trial(self, principal: Principal, job_id: str, number: int) -> TrialView:
        """Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            spec = scope.job(job_id).spec
            (trial,) = with_last_values(scope, spec, [scope.trial(job_id, number)])
            tasks = scope.tasks(trial.id)
        return TrialView(trial=trial, tasks=with_log_tails(tasks, self._artifacts))

    def measurements(
        self,
        principal: Principal,
        job_id: str,
        number: int,
        *,
        task: int | None,
        metric: str | None,
        after: tuple[int, str] | None,
        limit: int,
    ) -> Sequence[Measurement]:
        """Of one execution of the trial, the newest unless `task` numbers another. Raises NotFound."""
        with self._store.read() as unit:
            found = chosen_task(unit, principal, job_id, number, task)
            if found is None:
                return []
            return unit.for_tenant(principal).measurements(found.id, metric=metric, after=after, limit=limit)

    def log(
        self, principal: Principal, job_id: str, number: int, *, task: int | None, start: int, length: int
    ) -> LogPiece:
        """A piece of one execution's log; a negative `start` counts from the end. Raises NotFound."""
        with self._store.read() as unit:
            found = chosen_task(unit, principal, job_id, number, task)
        if found is None:
            return LogPiece(data=b"", start=0, total=0, complete=False)
        begin = max(0, found.log_bytes + start) if start < 0 else start
        data = b""
        if length and begin < found.log_bytes:  # the store is not asked four times a second for what is not there yet
            data = self._artifacts.log(found.tenant_id, job_id, found.id, begin, length)
        return LogPiece(data=data, start=begin, total=found.log_bytes, complete=found.status not in OPEN_TASKS)

    def events(self, principal: Principal, job_id: str, *, after: int, limit: int) -> Sequence[Event]:
        """What happened to the job since event `after`. Raises NotFound, also once the job is deleted."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            scope.job(job_id)
            return scope.events(job_id, after=after, limit=limit)

    # -- requests that may be sent twice

    def idempotent(self, principal: Principal, key: str, request: object, action: Callable[[Keep], Answer]) -> Answer:
        """What `action` answers (status, body), or what it answered when the same key came first, within a day.

        Raises:
            Conflict: the key came with another request before.
            TryAgain: the first request is still being worked on.
        """
        return once(self._store, self._clock, principal, key, request, action)

    def now(self) -> float:
        """The time, by the clock that what is stored is dated by."""
        return self._clock()


def _check_resumption(unit: Unit, scope: TenantScope, job: TuningJob) -> None:
    """Return quietly when the job, which has ended and rests, may go on. Raises Conflict, OverQuota."""
    if job.status is JobStatus.COMPLETED:
        check_resumable(scope, job)
    check_jobs(scope, scope.lock())
    check_pool(unit, job)


__all__ = ["Event", "JobView", "ModelTuningMgr", "TrialOrder", "TrialView"]
