"""The list of jobs."""

from dataclasses import replace

from tuning_service.domain.errors import Denied
from tuning_service.domain.state import JobStatus
from tuning_service.manager.catalogue import framework_catalogue
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
    filters = {name: view.query.get(name, "")[:200] for name in ("search", "framework")}
    every = JobQuery(search=filters["search"], framework=filters["framework"])
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
            "frameworks": [item["name"] for item in framework_catalogue()],
            "state": state,
            "sort": sort,
            "filters": filters,
            "total": total,
            "number": number,
            "pages": pages,
            "is_filtered": any(filters.values()) or bool(state),
        },
    )


PAGES = (("/jobs", jobs),)
