"""Several jobs side by side."""

from tuning_service.portal.view import Page, View
from tuning_service.storage.job_list import JobQuery

_OFFERED = 50
_MOST = 10


def compare(view: View) -> Page:
    """The jobs of `?jobs=a,b,c` (or `?jobs=a&jobs=b`), and the newest to choose from, or what `?search=` finds."""
    named = [part.strip() for text in view.query.getlist("jobs") for part in text.split(",") if part.strip()]
    named = list(dict.fromkeys(named))
    search = view.query.get("search", "")[:200].strip()
    found = view.managers.listing.jobs(view.principal, JobQuery(search=search), limit=_OFFERED)
    known = {item.job.id: item for item in found.views}
    # Raises NotFound for one that is not there (any more): its address was passed on.
    chosen = [known.get(job) or view.managers.tuning.job(view.principal, job) for job in named[:_MOST]]
    ids = [item.job.id for item in chosen]
    return Page(
        template="compare.html",
        title="Compare jobs",
        here="compare",
        scripts=("compare.js",),
        context={
            "chosen": ids,
            "offered": [*chosen, *(item for item in found.views if item.job.id not in ids)],
            "is_all": found.next is None,
            "left_out": max(0, len(named) - _MOST),
            "search": search,
            "most": _MOST,
        },
    )


PAGES = (("/compare", compare),)
