"""One trial: its configuration beside the best and the default, its curves, its executions and what they printed."""

from collections.abc import Mapping, Sequence
from typing import Any

from tuning_service.domain.errors import NotFound
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.state import OPEN_TRIALS
from tuning_service.domain.trial import TuningTask
from tuning_service.manager.model_tuning_mgr import JobView, TrialView
from tuning_service.portal.view import Page, View

_MOST_STORED = 12  # metrics that are shown at once


def trial(view: View) -> Page:
    """The page of one trial; `?task=` chooses an execution, the newest is shown without."""
    job_id, number = view.path["job_id"], view.path["number"]
    if not number.isdecimal() or len(number) > 9:
        raise NotFound(f"There is no trial {number!r}.")
    tuning = view.managers.tuning
    job = tuning.job(view.principal, job_id)
    found = tuning.trial(view.principal, job_id, int(number))
    best = tuning.best(view.principal, job_id)
    task = _chosen(found, view.query.get("task", ""))
    ended = found.trial.status not in OPEN_TRIALS
    shown = found.trial
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
            "task": task,
            "ended": ended,
            "elapsed": _elapsed(found, tuning.now()),
            "rows": _rows(job, shown.params, best.trials[0].params if best.trials else {}),
            "best": best.trials[0] if best.trials else None,
            "metrics": list(shown.metrics.items())[:_MOST_STORED],
            "more_metrics": max(0, len(shown.metrics) - _MOST_STORED),
            "last": job.progress.completed + job.progress.failed + job.progress.stopped + job.progress.running,
        },
    )


def _chosen(found: TrialView, text: str) -> TuningTask | None:
    tasks: Sequence[TuningTask] = found.tasks
    if text.isdecimal():
        for task in tasks:
            if str(task.number) == text:
                return task
    return tasks[-1] if tasks else None


def _elapsed(found: TrialView, now: float) -> float | None:
    trial = found.trial
    if trial.started_at is None:
        return None
    return (trial.ended_at or now) - trial.started_at


def _rows(job: JobView, params: Mapping[str, ParamValue], best: Mapping[str, ParamValue]) -> list[dict[str, Any]]:
    """One row for each parameter of the space, those that are not active too."""
    described = job.job.spec.space.to_dict()
    return [
        {
            "name": name,
            "value": params.get(name),
            "best": best.get(name),
            "default": entry.get("default"),
            "range": _range(entry),
            "differs": name in params and name in best and params[name] != best[name],
        }
        for name, entry in described.items()
    ]


def _range(entry: Mapping[str, Any]) -> str:
    if "values" in entry:
        return ", ".join(map(str, entry["values"]))
    if "min" in entry:
        scale = f", {entry['scale']}" if entry.get("scale", "linear") != "linear" else ""
        return f"{entry['min']} to {entry['max']}{scale}"
    return str(entry.get("value", entry.get("type", "")))


PAGES = (("/jobs/{job_id}/trials/{number}", trial),)
