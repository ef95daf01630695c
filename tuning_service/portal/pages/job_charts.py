"""A job's curves, what its parameters do, and where its trials ran: pages of charts."""

from collections.abc import Sequence
from typing import Any

from tuning_service.domain.job import JobSpec
from tuning_service.domain.parameters import FixedParameter, FloatParameter, IntParameter
from tuning_service.portal.pages.job import chosen_objective
from tuning_service.portal.pages.job_head import job_page
from tuning_service.portal.view import Page, View

_WHICH = {"all": "All", "best:50": "The best 50", "best:10": "The best 10"}
_ALONG = {"step": "Step", "time": "Time"}
_METHODS = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}


def curves(view: View) -> Page:
    """`/jobs/{job_id}/curves?metric=&trials=&x=&smooth=`."""
    shown = view.managers.tuning.job(view.principal, view.path["job_id"])
    metrics = shown.job.spec.metrics
    choices = {
        "metric": _chosen(view, "metric", metrics),
        "trials": _chosen(view, "trials", tuple(_WHICH)),
        "x": _chosen(view, "x", tuple(_ALONG)),
        "smooth": _share(view.query.get("smooth", "")),
    }
    context = {"choices": choices, "metrics": metrics, "which": _WHICH, "along": _ALONG, "source": _source(view)}
    return job_page(view, shown, "/curves", "job_curves.html", context)


def parameters(view: View) -> Page:
    """`/jobs/{job_id}/parameters?objective=&method=&parameter=&x=&y=`."""
    shown = view.managers.tuning.job(view.principal, view.path["job_id"])
    spec = shown.job.spec
    names = [p.name for p in spec.space if not isinstance(p, FixedParameter) and p.size != 1]
    context: dict[str, Any] = {
        "names": names,
        "methods": _METHODS,
        "source": _source(view),
        "choices": _parameter_choices(view, spec, names),
    }
    return job_page(view, shown, "/parameters", "job_parameters.html", context)


def slots(view: View) -> Page:
    """`/jobs/{job_id}/slots`."""
    shown = view.managers.tuning.job(view.principal, view.path["job_id"])
    return job_page(view, shown, "/slots", "job_slots.html", {"source": _source(view)})


def _parameter_choices(view: View, spec: JobSpec, names: Sequence[str]) -> dict[str, str]:
    choices = {
        "objective": chosen_objective(view, spec),
        "method": _chosen(view, "method", tuple(_METHODS)),
    }
    if names:
        choices["parameter"] = _chosen(view, "parameter", names)
    if len(names) > 1:
        # Two numbers make the better picture.
        numeric = {p.name for p in spec.space if isinstance(p, FloatParameter | IntParameter)}
        ranked = sorted(names, key=lambda name: name not in numeric)
        choices["x"] = _chosen(view, "x", ranked)
        others = [name for name in ranked if name != choices["x"]]
        choices["y"] = _chosen(view, "y", others)
    return choices


def _source(view: View) -> str:
    return f"/v1/tuning-jobs/{view.path['job_id']}/analysis"


def _chosen(view: View, name: str, allowed: Sequence[str]) -> str:
    """What the query says, or the first of what is allowed."""
    wanted = view.query.get(name, "")
    return wanted if wanted in allowed else allowed[0]


def _share(text: str) -> str:
    """A number from 0 to 0.95 as it stands in an address."""
    try:
        value = float(text)
    except ValueError:
        return "0"
    return f"{min(value, 0.95):g}" if value > 0 else "0"


PAGES = (
    ("/jobs/{job_id}/curves", curves),
    ("/jobs/{job_id}/parameters", parameters),
    ("/jobs/{job_id}/slots", slots),
)
