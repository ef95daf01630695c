"""How far a job is, in numbers."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from tuning_service.domain.job import Progress, TuningJob
from tuning_service.domain.pool import ControllerSeen
from tuning_service.domain.state import OPEN_JOBS, JobStatus, JobTarget, TrialStatus
from tuning_service.manager.fronts import Fronts
from tuning_service.manager.pool_mgr import trouble, unserved
from tuning_service.manager.views import JobView
from tuning_service.storage.job_list import Best
from tuning_service.storage.tenant_scope import TenantScope


def views_of(scope: TenantScope, jobs: Sequence[TuningJob], fronts: Fronts, now: float) -> list[JobView]:
    """The jobs, each with its numbers."""
    if not jobs:
        return []
    ids = [job.id for job in jobs]
    counts = scope.trial_counts(ids)
    seconds = scope.listing.mean_trial_seconds([job.id for job in jobs if job.status is JobStatus.RUNNING])
    best = scope.listing.best({job.id: job.spec.objective.goal for job in jobs if len(job.spec.objectives) == 1})
    several = {job.id: job for job in jobs if len(job.spec.objectives) > 1}
    completed = {job_id: counts[job_id].get(TrialStatus.COMPLETED, 0) for job_id in several}
    sizes = {job_id: len(front) for job_id, front in fronts.of_all(scope, several.values(), completed).items()}
    used = scope.listing.usage(ids, now)
    views = []
    for job in jobs:
        progress = progress_of(job, counts[job.id], best.get(job.id), seconds.get(job.id), now)
        progress = dataclasses.replace(progress, front_size=sizes.get(job.id))
        views.append(JobView(job=job, progress=progress, used=used[job.id]))
    return views


def with_pool_trouble(
    views: Sequence[JobView], controllers: Callable[[str], Sequence[ControllerSeen]], now: float
) -> list[JobView]:
    """The views, in which jobs say so that wait for their pool's controller or cluster, or to be ended by it.

    No controller can say it for them.
    """
    seen: dict[str, Sequence[ControllerSeen]] = {}
    told = []
    for view in views:
        job = view.job
        if wish := _needs_controller(job):
            pool = job.spec.pool
            if pool not in seen:
                seen[pool] = controllers(pool)
            # To stop or to delete, a controller needs no executors.
            found = trouble(pool, seen[pool], now) if wish == _WAITS else unserved(pool, seen[pool], now)
            if found:
                job = dataclasses.replace(job, reason=f"{wish}: {found}")
        told.append(dataclasses.replace(view, job=job))
    return told


_WAITS = "Waits"


def _needs_controller(job: TuningJob) -> str:
    """What a job does that only a controller can take further, in words; "" for others."""
    if job.target is JobTarget.DELETED:
        return "Waits to be deleted"
    if job.target is JobTarget.STOPPED and job.status in OPEN_JOBS:
        return "Waits to be stopped"
    if job.target is JobTarget.RUNNING and job.status not in OPEN_JOBS:
        return _WAITS  # it was resumed; its reason is that of its end
    waits = job.target is JobTarget.RUNNING and job.status in {JobStatus.CREATED, JobStatus.RUNNING}
    return _WAITS if waits and (not job.reason or job.reason.startswith(_WAITS)) else ""


def progress_of(
    job: TuningJob, counts: Mapping[TrialStatus, int], best: Best | None, mean_s: float | None, now: float
) -> Progress:
    """The job's counts, with an estimate of the time left from the `mean_s` seconds that a completed trial took."""
    total = job.spec.budget.trials
    progress = Progress(
        total=total,
        queued=counts.get(TrialStatus.QUEUED, 0),
        running=counts.get(TrialStatus.RUNNING, 0),
        completed=counts.get(TrialStatus.COMPLETED, 0),
        failed=counts.get(TrialStatus.FAILED, 0),
        stopped=counts.get(TrialStatus.STOPPED, 0),
        best_value=best.value if best else None,
        best_trial=best.number if best else None,
        best_feasible=best is None or best.feasible,
    )
    if job.status is not JobStatus.RUNNING or mean_s is None:
        return progress
    # Those that run are on average half done.
    rest = max(0.0, total - progress.done - progress.running / 2)
    left = rest * mean_s / job.spec.budget.parallel
    if job.spec.budget.minutes is not None and job.running_since is not None:
        left = min(left, max(0.0, 60 * job.spec.budget.minutes - job.used_s - (now - job.running_since)))
    return dataclasses.replace(progress, seconds_left=left)
