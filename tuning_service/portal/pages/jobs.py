"""The list of jobs."""

from tuning_service.portal.view import Page, View

_PAGE = 50


def jobs(view: View) -> Page:
    """All jobs of the tenant."""
    views = view.managers.tuning.jobs(view.principal, before=None, limit=_PAGE)
    return Page(template="jobs.html", title="Jobs", here="jobs", live="jobs", context={"jobs": views})


PAGES = (("/jobs", jobs),)
