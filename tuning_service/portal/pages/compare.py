"""Several jobs side by side."""

from tuning_service.portal.view import Page, View
from tuning_service.storage.job_list import JobQuery

_OFFERED = 100
_MOST = 10


def compare(view: View) -> Page:
    """The jobs of `?jobs=a,b,c` (or `?jobs=a&jobs=b`), and a list to choose from."""
    chosen = [part.strip() for text in view.query.getlist("jobs") for part in text.split(",") if part.strip()]
    chosen = list(dict.fromkeys(chosen))[:_MOST]
    offered = view.managers.listing.jobs(view.principal, JobQuery(), limit=_OFFERED).views
    known = {item.job.id for item in offered}
    # Those of an address that are older than the list: they are looked up, so that one that is not there is said.
    older = [view.managers.tuning.job(view.principal, job) for job in chosen if job not in known]
    return Page(
        template="compare.html",
        title="Compare jobs",
        here="compare",
        scripts=("compare.js",),
        context={"chosen": chosen, "offered": [*older, *offered], "most": _MOST},
    )


PAGES = (("/compare", compare),)
