"""A job's first page: what it has found, and what went wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.domain.job import JobSpec, TuningJob
from tuning_service.domain.parameters import FixedParameter, FloatParameter, IntParameter, Parameter, ParamValue
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import QueuedPoint, Trial
from tuning_service.manager.model_tuning_mgr import TrialOrder
from tuning_service.portal.pages.job_head import job_page
from tuning_service.portal.view import Page, View
from tuning_service.portal.words import number

_BEST = 5
_POINTS_SHOWN = 10
_RUNNING_SHOWN = 8
_EDGE = 0.02  # of a range: so near its end, the best may lie beyond
_VALUES_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One parameter of the best configuration."""

    name: str
    value: ParamValue | None  # None: inactive there
    default: ParamValue | None
    range: str
    place: float | None  # from 0 to 1 along its range
    edge: str  # "" unless it is at an end of its range


def overview(view: View) -> Page:
    """`/jobs/{job_id}`."""
    job_id = view.path["job_id"]
    managers, principal = view.managers, view.principal
    shown = managers.tuning.job(principal, job_id)
    best = managers.tuning.best(principal, job_id, _BEST)
    spec = shown.job.spec
    metric = chosen_objective(view, spec)
    context = {
        "best": best,
        "settings": settings(spec, best.trials[0]) if best.trials else (),
        "has_defaults": spec.space.default_point is not None,
        "failures": managers.overview.failures(principal, job_id) if shown.progress.failed else (),
        "running": _running(view, job_id) if shown.progress.running else (),
        "now": managers.tuning.now(),
        "points": _waiting_points(view, shown.job),
        "points_shown": _POINTS_SHOWN,
        "metric": metric,
        "source": f"/v1/tuning-jobs/{job_id}/analysis",
    }
    return job_page(view, shown, "", "job.html", context)


def job_file(view: View) -> Page:
    """`/jobs/{job_id}/file`: what was submitted, to be copied."""
    shown = view.managers.tuning.job(view.principal, view.path["job_id"])
    return job_page(view, shown, "/file", "job_file.html", {}, ("job_file.js",))


def chosen_objective(view: View, spec: JobSpec) -> str:
    """The objective that `?objective=` names, or the first."""
    wanted = view.query.get("objective", "")
    return wanted if wanted in {o.metric for o in spec.objectives} else spec.objective.metric


def settings(spec: JobSpec, trial: Trial) -> Sequence[Setting]:
    """The trial's configuration against the space, inactive parameters included."""
    return [_setting(parameter, trial.params.get(parameter.name)) for parameter in spec.space]


def _setting(parameter: Parameter, value: ParamValue | None) -> Setting:
    place = None if value is None else _place(parameter, value)
    edge = ""
    if place is not None and (place <= _EDGE or place >= 1 - _EDGE):
        edge = "at the lower end" if place <= _EDGE else "at the upper end"
    return Setting(
        name=parameter.name,
        value=value,
        default=default_of(parameter),
        range=range_text(parameter),
        place=place,
        edge=edge,
    )


def _place(parameter: Parameter, value: ParamValue) -> float | None:
    if not isinstance(parameter, FloatParameter | IntParameter) or parameter.min == parameter.max:
        return None
    if not isinstance(value, int | float):
        return None
    low, high, at = float(parameter.min), float(parameter.max), float(value)
    if parameter.scale != "linear":
        low, high, at = math.log(low), math.log(high), math.log(max(at, parameter.min))
    # Halved, because the widest ranges overflow.
    return min(1.0, max(0.0, (at / 2 - low / 2) / (high / 2 - low / 2)))


def default_of(parameter: Parameter) -> ParamValue | None:
    """None where the job file gives none."""
    return None if isinstance(parameter, FixedParameter) else parameter.default


def range_text(parameter: Parameter) -> str:
    """What a parameter may be, in one line."""
    if isinstance(parameter, FixedParameter):
        return "fixed"
    if isinstance(parameter, FloatParameter | IntParameter):
        text = f"{number(parameter.min)} to {number(parameter.max)}"
        scale = {"linear": "", "log": ", log", "pow2": ", powers of 2"}[parameter.scale]
        return text + scale + ("" if parameter.step is None else f", step {number(parameter.step)}")
    values = [shown_value(value) for value in parameter.values[:_VALUES_SHOWN]]
    more = len(parameter.values) - len(values)
    return ", ".join(values) + (f" and {more} more" if more else "")


def shown_value(value: Any) -> str:
    """A parameter's value as a job file writes it."""
    return str(value).lower() if isinstance(value, bool) else number(value)


def _running(view: View, job_id: str) -> Sequence[Trial]:
    """Those that began first: of them there is the most to tell."""
    found = view.managers.listing.trials(
        view.principal, job_id, order=TrialOrder(), limit=_RUNNING_SHOWN, statuses=[TrialStatus.RUNNING]
    )
    return found.trials


def _waiting_points(view: View, job: TuningJob) -> Sequence[QueuedPoint]:
    """The first points that have no trial yet."""
    if not job.queued_points:
        return ()
    found: list[QueuedPoint] = []
    after = -1
    while len(found) < _POINTS_SHOWN:
        points = view.managers.tuning.points(view.principal, job.id, after=after, limit=1000)
        found += [point for point in points if point.trial is None]
        if len(points) < 1000:
            break
        after = points[-1].position
    return found[:_POINTS_SHOWN]


PAGES = (("/jobs/{job_id}", overview), ("/jobs/{job_id}/file", job_file))
