"""The table of a job's trials."""

from collections.abc import Sequence

from tuning_service.domain.job import Goal, JobSpec
from tuning_service.domain.parameters import FixedParameter
from tuning_service.domain.state import TrialStatus
from tuning_service.manager.model_tuning_mgr import TrialOrder
from tuning_service.portal.pages.job_head import job_page
from tuning_service.portal.view import Page, View

_PAGE = 50
_MOST_COLUMNS = 8  # beyond these a reader chooses; the others are behind "more"
SORTS = ("number", "-number", "value", "-value", "ended_at", "-ended_at", "best")
_NEWEST = "-number"


def trials(view: View) -> Page:
    """`/jobs/{job_id}/trials?state=&sort=&column=&page=`."""
    job_id = view.path["job_id"]
    tuning, principal = view.managers.tuning, view.principal
    shown = tuning.job(principal, job_id)
    spec, progress = shown.job.spec, shown.progress
    counts = {str(status): getattr(progress, str(status)) for status in TrialStatus}
    state = view.query.get("state", "")
    state = state if state in counts else ""
    total = counts[state] if state else sum(counts.values())
    pages = max(1, -(-total // _PAGE))
    page = min(view.page_number(), pages)
    sort = view.query.get("sort", _NEWEST)
    sort = sort if sort in SORTS else _NEWEST
    found = tuning.trials(
        principal,
        job_id,
        order=_order(sort, spec),
        after=None,
        offset=(page - 1) * _PAGE,
        limit=_PAGE,
        statuses=[TrialStatus(state)] if state else (),
    )
    rows = [trial for trial, _ in found]
    columns = _columns(view, spec)
    context = {
        "trials": rows,
        "places": view.managers.overview.places(principal, job_id, [trial.number for trial in rows]),
        "counts": counts,
        "state": state,
        "total": total,
        "pages": pages,
        "page_number": page,
        "sort": sort,
        "better": "-value" if spec.objective.goal is Goal.MAXIMIZE else "value",
        "columns": columns,
        "hidden": [p.name for p in spec.space if p.name not in columns],
        "now": tuning.now(),
    }
    return job_page(view, shown, "/trials", "job_trials.html", context)


def _order(sort: str, spec: JobSpec) -> TrialOrder:
    if sort == "best":
        return TrialOrder(column="value", descending=spec.objective.goal is Goal.MAXIMIZE, feasible_first=True)
    return TrialOrder(column=sort.removeprefix("-"), descending=sort.startswith("-"))


def _columns(view: View, spec: JobSpec) -> Sequence[str]:
    """The parameters that are shown: those that `?column=` names, or the first that can differ."""
    wanted = set(view.query.getlist("column"))
    chosen = [p.name for p in spec.space if p.name in wanted]
    if chosen:
        return chosen
    varying = [p.name for p in spec.space if not isinstance(p, FixedParameter) and p.size != 1]
    return (varying or [p.name for p in spec.space])[:_MOST_COLUMNS]


PAGES = (("/jobs/{job_id}/trials", trials),)
