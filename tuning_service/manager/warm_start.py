"""The trials of earlier jobs that a new one begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.domain.errors import FieldProblem, NotFound
from tuning_service.domain.job import JobSpec, TuningJob
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import Observation
from tuning_service.domain.warm_start import Learned, learned, unread
from tuning_service.search.base import algorithms
from tuning_service.storage.tenant_scope import TenantScope

MOST_JOBS = 20
MOST_TRIALS = 10_000  # of all earlier jobs together, in equal parts


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """What a new job learns of earlier ones; `problems` when it names what is not there."""

    observations: Sequence[Observation] = ()
    report: Sequence[Mapping[str, Any]] = ()
    problems: Sequence[FieldProblem] = ()


def warm_start(scope: TenantScope, spec: JobSpec) -> WarmStart:
    """What `spec.warm_start` names, as it is now: the history of the new job must not change with the earlier ones."""
    jobs, problems = named_jobs(scope, spec)
    if problems:
        return WarmStart(problems=problems)
    algorithm = algorithms().get(spec.algorithm.name)  # None: a plug-in, of which nobody knows
    newest = {job.id for job in sorted(jobs, key=lambda job: (job.created_at, job.id))[-MOST_JOBS:]}
    counts = scope.trial_counts([job.id for job in jobs])
    parts = []
    for job in jobs:
        ended = sum(counts[job.id].get(status, 0) for status in (TrialStatus.COMPLETED, TrialStatus.FAILED))
        if algorithm is not None and not algorithm.learns:
            parts.append(unread(job, ended, f"{algorithm.name} learns nothing from trials"))
        elif job.id in newest:
            parts.append(_part(scope, spec, job, ended, most=MOST_TRIALS // len(newest)))
        else:
            parts.append(unread(job, ended, f"only the {MOST_JOBS} newest jobs are taken over"))
    return WarmStart(
        observations=[observation for part in parts for observation in part.observations],
        report=[part.report for part in parts],
    )


def named_jobs(scope: TenantScope, spec: JobSpec) -> tuple[list[TuningJob], list[FieldProblem]]:
    """The jobs that `spec.warm_start` names, and a problem for each that there is not."""
    jobs: list[TuningJob] = []
    problems: list[FieldProblem] = []
    for i, job_id in enumerate(spec.warm_start):
        try:
            jobs.append(scope.job(job_id))
        except NotFound as error:
            remedy = "Name jobs of your own that were not deleted; 'tuning-service list' shows them."
            problems.append(FieldProblem(field=f"warm_start.{i}", message=_lowered(error.message), remedy=remedy))
    return jobs, problems


def _part(scope: TenantScope, spec: JobSpec, job: TuningJob, ended: int, *, most: int) -> Learned:
    trials = scope.best_trials(job.id, job.spec.objective.goal, most)
    trials += scope.failed_trials(job.id, most - len(trials))
    trials.sort(key=lambda trial: trial.number)
    return learned(spec, job, trials, left_out=max(0, ended - len(trials)))


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
