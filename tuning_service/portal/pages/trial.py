"""One trial: its configuration beside the best and the default, its curves, its executions and what they printed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tuning_service.domain.errors import NotFound
from tuning_service.domain.job import Progress
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.state import OPEN_TASKS, OPEN_TRIALS, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Trial, TuningTask
from tuning_service.manager.model_tuning_mgr import JobView, TrialView
from tuning_service.portal.pages.job import default_of, range_text
from tuning_service.portal.view import Page, View

_AT_ONCE = 8  # metrics that are shown without opening the list of all

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)

# What an end means for the job, by whose fault it was.
_MEANING: Mapping[FaultKind, str] = {
    FaultKind.PROGRAM: "The algorithm learns that this configuration fails.",
    FaultKind.INFEASIBLE: "This configuration cannot be trained. The algorithm learns that, and it does not count as a"
    " failure of the job.",
    FaultKind.CLUSTER: "The cluster's fault, not the program's. The algorithm only learns that the configuration was"
    " tried.",
    FaultKind.SERVICE: "The service's fault, not the program's. The algorithm only learns that the configuration was"
    " tried.",
    FaultKind.ENVIRONMENT: "The executor could not give the program the Python packages that it needs. The job ends,"
    " and can be resumed once that is mended.",
}


def trial(view: View) -> Page:
    """The page of one trial; `?task=` chooses an execution, the newest is shown without."""
    job_id, number = view.path["job_id"], view.path["number"]
    if not (number.isascii() and number.isdecimal()) or len(number) > 9:
        raise NotFound(f"There is no trial {number!r}.")
    tuning = view.managers.tuning
    job = tuning.job(view.principal, job_id)
    found = tuning.trial(view.principal, job_id, int(number))
    best = next(iter(tuning.best(view.principal, job_id).trials), None)
    shown = found.trial
    task = _chosen(found.tasks, view.query.get("task", ""))
    measured = [(name, value) for name, value in sorted(shown.metrics.items()) if name not in shown.values]
    return Page(
        template="trial.html",
        title=f"Trial {shown.number} of {job.job.spec.name}",
        here="jobs",
        live=job_id,
        scripts=("trial.js",),
        context={
            "job": job,
            "trial": shown,
            "tasks": found.tasks,
            "tails": {each.number: tail for each in found.tasks if (tail := _tail(each))},
            "task": task,
            "ended": shown.status not in OPEN_TRIALS,
            "stopping": shown.stop_requested and shown.status in OPEN_TRIALS,
            "waiting": _waiting(job, found),
            "lost": sum(each.status is TaskStatus.LOST for each in found.tasks),
            "meaning": _MEANING.get(shown.fault, "") if shown.status is TrialStatus.FAILED else "",
            "elapsed": _elapsed(shown, tuning.now()),
            "rows": _rows(job, shown.params, {} if best is None else best.params),
            "best": best,
            "is_best": best is not None and best.number == shown.number,
            "at_once": measured[:_AT_ONCE],
            "measured": measured if len(measured) > _AT_ONCE else [],
            "now": tuning.now(),
            "count": _count(job.progress),
            "beat": _beat(found.tasks),
        },
    )


def _chosen(tasks: Sequence[TuningTask], text: str) -> TuningTask | None:
    named = [task for task in tasks if str(task.number) == text]
    return named[0] if named else tasks[-1] if tasks else None


def _tail(task: TuningTask) -> list[str]:
    """The last lines that a failed or lost execution printed, as a terminal would show them: see trial_log.js."""
    if task.outcome is None or task.status not in {TaskStatus.FAILED, TaskStatus.LOST}:
        return []
    lines = _ESCAPES.sub("", task.outcome.log_tail).rstrip("\n").split("\n")
    return [next((part for part in reversed(line.split("\r")) if part), "") for line in lines if line or len(lines) > 1]


def _waiting(job: JobView, found: TrialView) -> str:
    """What a trial that is not being trained waits for; "" when it waits for nothing."""
    trial, tasks = found.trial, found.tasks
    if trial.status not in OPEN_TRIALS or (tasks and tasks[-1].status is TaskStatus.CLAIMED):
        return ""
    told = job.job.reason
    if told:
        return told
    if tasks and tasks[-1].status in OPEN_TASKS:
        return "Waits for a free slot of the cluster."
    return "Waits for its turn."


def _elapsed(trial: Trial, now: float) -> float | None:
    if trial.started_at is None:
        return None
    return max(0.0, (now if trial.ended_at is None else trial.ended_at) - trial.started_at)


def _count(progress: Progress) -> int:
    """Trials that have a page: their numbers are those below this."""
    return progress.queued + progress.running + progress.completed + progress.failed + progress.stopped


def _beat(tasks: Sequence[TuningTask]) -> str:
    """Another text whenever an open execution was heard of: its charts have more to draw, though no word changes."""
    return str(int(tasks[-1].heartbeat_at or 0)) if tasks and tasks[-1].status in OPEN_TASKS else ""


def _rows(job: JobView, params: Mapping[str, ParamValue], best: Mapping[str, ParamValue]) -> list[dict[str, Any]]:
    """One row for each parameter of the space, those that are not active too."""
    return [
        {
            "name": parameter.name,
            "value": params.get(parameter.name),
            "best": best.get(parameter.name),
            "default": default_of(parameter),
            "range": range_text(parameter),
            "differs": params.get(parameter.name) != best.get(parameter.name),
        }
        for parameter in job.job.spec.space
    ]


PAGES = (("/jobs/{job_id}/trials/{number}", trial),)
