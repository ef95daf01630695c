"""ModelTuningMgr: the use cases of tuning. Every one takes the principal who asks."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict, FieldProblem, InvalidRequest, NotFound, TooLarge, TryAgain
from tuning_service.domain.ids import new_id
from tuning_service.domain.job import JobSpec, Progress, TuningJob
from tuning_service.domain.plugin import Plugin
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import OPEN_TASKS, JobStatus, JobTarget, Role, TrialStatus
from tuning_service.domain.trial import Measurement, Trial, TuningTask
from tuning_service.frameworks.base import frameworks
from tuning_service.manager.job_file import JobFile
from tuning_service.manager.progress import progress_of
from tuning_service.runner import bundle
from tuning_service.search.plugins.choice import check_any_choice
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store, Unit
from tuning_service.storage.tenant_scope import Event, Program, TrialOrder

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job with its numbers."""

    job: TuningJob
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """A trial with all its executions, oldest first."""

    trial: Trial
    tasks: Sequence[TuningTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """Bytes of one task's log from `start`. `complete`: the task has ended, so `total` will not grow."""

    data: bytes
    start: int
    total: int
    complete: bool


class ModelTuningMgr:
    """Start, stop, resume, delete, list, and results. Safe from any thread.

    Requests never touch a job's status: they change its target, and a controller moves the job there.
    """

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        *,
        notify: Callable[[str], None],
        bundle_limits: bundle.BundleLimits,
        max_upload_bytes: int,
        clock: Clock = system_clock,
    ) -> None:
        """`notify` is told the id of each job whose target has changed, after the change is stored."""
        self._store = store
        self._artifacts = artifacts
        self._notify = notify
        self._limits = bundle_limits
        self.max_upload_bytes = max_upload_bytes
        self._clock = clock

    # -- programs

    def upload_program(self, principal: Principal, data: bytes) -> Program:
        """The stored program; the same content is stored once per tenant.

        Raises:
            InvalidRequest: the archive is broken, or would write outside its folder.
            TooLarge: it is larger than the deployment allows.
        """
        principal.require(Role.MEMBER)
        if len(data) > self.max_upload_bytes:
            raise TooLarge(f"A program may have {self.max_upload_bytes} bytes as an archive; this one has {len(data)}.")
        try:
            summary = bundle.inspect(data, self._limits)
        except bundle.BadBundle as error:
            problem = FieldProblem(
                field="program", message=f"{error}.", remedy="Upload a zip or tar.gz of plain files and folders."
            )
            raise InvalidRequest(problem) from error
        program = Program(
            digest=bundle.digest(data), bytes=len(data), files=tuple(summary.files), created_at=self._clock()
        )
        # Bytes before the row: a row without its bytes would be found by a runner, bytes without a row by nobody.
        self._artifacts.put_program(principal.tenant_id, program.digest, data)
        with self._store.write() as unit:
            unit.for_tenant(principal).add_program(program)
        if not self._artifacts.has_program(principal.tenant_id, program.digest):
            # Deleted between the two steps above; any deletion from here on takes the row along.
            self._artifacts.put_program(principal.tenant_id, program.digest, data)
        return program

    def program(self, principal: Principal, digest: str) -> Program:
        """Raises NotFound."""
        with self._store.read() as unit:
            program = unit.for_tenant(principal).program(digest)
        if program is None:
            raise NotFound(f"There is no program {digest!r}.")
        return program

    def programs(self, principal: Principal, *, after: str, limit: int) -> Sequence[Program]:
        """By digest, those above `after`."""
        with self._store.read() as unit:
            return unit.for_tenant(principal).programs(after=after, limit=limit)

    def delete_program(self, principal: Principal, digest: str) -> None:
        """Its row and its bytes are gone.

        Raises:
            NotFound
            Conflict: a job uses it.
        """
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            if scope.program(digest) is None:
                raise NotFound(f"There is no program {digest!r}.")
            scope.delete_program(digest)
            # While the row is locked, so that an upload of the same content comes wholly before or after.
            self._artifacts.delete_program(principal.tenant_id, digest)

    # -- jobs

    def start(self, principal: Principal, file: JobFile) -> JobView:
        """The stored job, which a controller takes up at once.

        Raises:
            InvalidRequest: with all that is wrong and can be known now; nothing is stored.
        """
        principal.require(Role.MEMBER)
        spec = file.to_spec()
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            spec = self._checked(spec, scope.program(spec.program), scope.plugins.visible(), principal)
            job = TuningJob(
                id=new_id("job"),
                tenant_id=principal.tenant_id,
                spec=spec,
                status=JobStatus.CREATED,
                target=JobTarget.RUNNING,
                reason="",
                owner=principal.key_id,
                created_at=self._clock(),
            )
            unit.for_tenant(principal).add_job(job)
        self._notify(job.id)
        return JobView(job=job, progress=Progress(total=spec.budget.trials))

    def _checked(
        self, spec: JobSpec, program: Program | None, plugins: Sequence[Plugin], principal: Principal
    ) -> JobSpec:
        """`spec` with the algorithm's defaults filled in. Raises InvalidRequest with all problems at once."""
        problems: list[FieldProblem] = []
        quota = principal.tenant.max_parallel if principal.tenant else 0
        if spec.budget.parallel > quota:
            message = f"{spec.budget.parallel} is more than this tenant's quota of {quota} trials in parallel."
            problems.append(FieldProblem(field="budget.parallel", message=message, remedy=f"Use at most {quota}."))
        if program is None:
            message = f"no program {spec.program!r} was uploaded."
            problems.append(
                FieldProblem(field="program", message=message, remedy="POST it to /v1/programs and name its digest.")
            )
        managers = frameworks()
        if spec.framework not in managers:
            problems.append(
                FieldProblem(
                    field="framework",
                    message=f"{spec.framework!r} is not supported.",
                    remedy=f"Use one of {', '.join(sorted(managers))}.",
                )
            )
        elif program is not None:
            try:
                managers[spec.framework].check(spec, program.files)
            except InvalidRequest as error:
                problems.extend(error.problems)
        try:
            choice = check_any_choice(spec.algorithm, plugins, spec.space, spec.objectives, spec.metric_constraints)
            spec = dataclasses.replace(spec, algorithm=choice)
        except InvalidRequest as error:
            problems.extend(error.problems)
        if problems:
            raise InvalidRequest(*problems)
        return spec

    def jobs(
        self, principal: Principal, *, before: str | None, limit: int, statuses: Collection[JobStatus] = ()
    ) -> Sequence[JobView]:
        """Newest first; `before` is the id of the last one seen."""
        with self._store.read() as unit:
            jobs = unit.for_tenant(principal).jobs(before=before, limit=limit, statuses=statuses)
            return self._views(unit, principal, jobs)

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
        """A stopped or failed job goes on where it was. Resuming a running job changes nothing.

        Raises:
            Conflict: it has completed.
        """
        return self._aim(principal, job_id, JobTarget.RUNNING)

    def delete(self, principal: Principal, job_id: str) -> JobView:
        """The job, its trials, measurements and logs go, after its trainings have been ended."""
        return self._aim(principal, job_id, JobTarget.DELETED)

    def _aim(self, principal: Principal, job_id: str, target: JobTarget) -> JobView:
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            job = scope.job(job_id)
            if job.target is JobTarget.DELETED and target is not JobTarget.DELETED:
                raise Conflict("This job is being deleted.")
            if target is not JobTarget.DELETED and job.status is JobStatus.COMPLETED:
                raise Conflict("This job has completed; submit a new one to try more.")
            if target is JobTarget.STOPPED and job.status is JobStatus.FAILED:
                raise Conflict("This job has failed already; it can be resumed or deleted.")
            if target is not job.target:
                scope.set_target(job, target, self._clock())
                job = scope.job(job_id)
            view = self._views(unit, principal, [job])[0]
        self._notify(job_id)
        return view

    def _views(self, unit: Unit, principal: Principal, jobs: Sequence[TuningJob]) -> list[JobView]:
        scope = unit.for_tenant(principal)
        counts = scope.trial_counts([job.id for job in jobs])
        seconds = scope.mean_trial_seconds([job.id for job in jobs])
        views = []
        for job in jobs:
            best = scope.best_trials(job.id, job.spec.objective.goal, limit=1)
            views.append(
                JobView(
                    job=job,
                    progress=progress_of(
                        job, counts[job.id], best[0] if best else None, seconds.get(job.id), self._clock()
                    ),
                )
            )
        return views

    # -- trials

    def best(self, principal: Principal, job_id: str, limit: int = 1) -> Sequence[Trial]:
        """Completed trials, best first by their observed value; of equal ones the earlier. Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            return scope.best_trials(job_id, scope.job(job_id).spec.objective.goal, limit)

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
            scope.job(job_id)
            return scope.trials(job_id, order=order, after=after, limit=limit, statuses=statuses)

    def trial(self, principal: Principal, job_id: str, number: int) -> TrialView:
        """Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            trial = scope.trial(job_id, number)
            return TrialView(trial=trial, tasks=scope.tasks(trial.id))

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
            found = _chosen_task(unit, principal, job_id, number, task)
            if found is None:
                return []
            return unit.for_tenant(principal).measurements(found.id, metric=metric, after=after, limit=limit)

    def log(
        self, principal: Principal, job_id: str, number: int, *, task: int | None, start: int, length: int
    ) -> LogPiece:
        """A piece of one execution's log; a negative `start` counts from the end. Raises NotFound."""
        with self._store.read() as unit:
            found = _chosen_task(unit, principal, job_id, number, task)
        if found is None:
            return LogPiece(data=b"", start=0, total=0, complete=False)
        begin = max(0, found.log_bytes + start) if start < 0 else start
        data = self._artifacts.log(found.tenant_id, job_id, found.id, begin, length)
        return LogPiece(data=data, start=begin, total=found.log_bytes, complete=found.status not in OPEN_TASKS)

    def events(self, principal: Principal, job_id: str, *, after: int, limit: int) -> Sequence[Event]:
        """What happened to the job since event `after`. Raises NotFound, also once the job is deleted."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            scope.job(job_id)
            return scope.events(job_id, after=after, limit=limit)

    # -- requests that may be sent twice

    def idempotent(
        self, principal: Principal, key: str, request: object, action: Callable[[], tuple[int, str]]
    ) -> tuple[int, str]:
        """What `action` answers (status, body), or what it answered when the same key came first, within a day.

        Raises:
            Conflict: the key came with another request before.
            TryAgain: the first request is still being worked on.
        """
        scope = principal.tenant.id if principal.tenant else principal.key_id
        digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
        with self._store.write() as unit:
            known = unit.idempotency.reserve(scope, key, digest, self._clock())
        if known is not None:
            if known.request_hash != digest:
                raise Conflict("This Idempotency-Key was used for a different request; use a new one.")
            if not known.status:
                raise TryAgain("The first request with this Idempotency-Key is still being worked on.")
            return known.status, known.body
        try:
            status, body = action()
        except BaseException:
            with self._store.write() as unit:
                unit.idempotency.drop(scope, key)
            raise
        with self._store.write() as unit:
            unit.idempotency.complete(scope, key, status, body)
        return status, body

    def ready(self) -> None:
        """Return quietly when requests can be served; raises what the database raises otherwise."""
        with self._store.read() as unit:
            unit.ping()


def _chosen_task(unit: Unit, principal: Principal, job_id: str, number: int, task: int | None) -> TuningTask | None:
    scope = unit.for_tenant(principal)
    tasks = scope.tasks(scope.trial(job_id, number).id)
    if task is None:
        return tasks[-1] if tasks else None
    for candidate in tasks:
        if candidate.number == task:
            return candidate
    raise NotFound(f"Trial {number} has no task {task}.")


__all__ = ["MAX_PAGE", "Event", "JobView", "LogPiece", "ModelTuningMgr", "Program", "TrialOrder", "TrialView"]
