"""The list of jobs."""

from dataclasses import replace
from functools import cache

from tuning_service.domain.errors import Denied
from tuning_service.domain.state import JobStatus
from tuning_service.manager.catalogue import algorithm_catalogue, framework_catalogue
from tuning_service.portal.view import Page, View
from tuning_service.storage.job_list import JOB_ORDERS, JobQuery

_PAGE = 50
# What people call the states, and which they are.
_STATES = {
    "active": (JobStatus.CREATED, JobStatus.RUNNING, JobStatus.STOPPING, JobStatus.DELETING),
    "completed": (JobStatus.COMPLETED,),
    "failed": (JobStatus.FAILED,),
    "stopped": (JobStatus.STOPPED,),
}


def jobs(view: View) -> Page:
    """All jobs of the tenant, or those that are looked for, a page at a time."""
    if view.is_operator:
        raise Denied("An operator's key belongs to no tenant, and so has no jobs. Sign in as a user of a tenant.")
    listing = view.managers.listing
    state = view.query.get("state", "")
    sort = view.query.get("sort", "-created_at")
    order = sort.removeprefix("-")
    if order not in JOB_ORDERS:
        sort, order = "-created_at", "created_at"
    filters = {name: view.query.get(name, "")[:200].strip() for name in ("search", "framework", "algorithm")}
    every = JobQuery(search=filters["search"], framework=filters["framework"], algorithm=filters["algorithm"])
    query = replace(every, statuses=_STATES.get(state, ()), order=order, descending=sort.startswith("-"))
    counts = listing.job_counts(view.principal, every)
    total = sum(counts[status] for status in query.statuses or counts)
    pages = max(1, -(-total // _PAGE))
    number = min(view.page_number(), pages)
    found = listing.jobs(view.principal, query, offset=(number - 1) * _PAGE, limit=_PAGE).views
    return Page(
        template="jobs.html",
        title="Jobs",
        here="jobs",
        live="jobs",
        scripts=("jobs.js",),
        context={
            "jobs": found,
            "sparklines": view.managers.analysis.sparklines(view.principal, [item.job.id for item in found]),
            "states": [(name, sum(counts[status] for status in group)) for name, group in _STATES.items()],
            "all": sum(counts.values()),
            "frameworks": _with([item["name"] for item in framework_catalogue()], filters["framework"]),
            "algorithms": _with(sorted(_algorithms(view)), filters["algorithm"]),
            "state": state,
            "sort": sort,
            "filters": filters,
            "total": total,
            "number": number,
            "pages": pages,
            "is_filtered": any(filters.values()) or bool(state),
        },
    )


def _algorithms(view: View) -> set[str]:
    return {*_built_in(), *(plugin.name for plugin in view.managers.plugins.plugins(view.principal))}


@cache
def _built_in() -> tuple[str, ...]:
    return tuple(item["name"] for item in algorithm_catalogue())


def _with(offered: list[str], chosen: str) -> list[str]:
    """What is filtered by is among the choices, also when it is not there any more."""
    return offered if not chosen or chosen in offered else [*offered, chosen]


PAGES = (("/jobs", jobs),)
