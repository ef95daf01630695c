"""The form for a new job. All that it knows of a job file it asks of REST: what is right, and what is wrong where."""

from tuning_service.api.schemas import AlgorithmOut
from tuning_service.domain.state import Role
from tuning_service.manager.catalogue import algorithm_catalogue, framework_catalogue
from tuning_service.portal.view import Page, View

_PROGRAMS = 200


def new(view: View) -> Page:
    """An empty form, or one filled from `?from=JOB`, with `&point=N` that trial's configuration first."""
    principal = view.principal
    principal.require(Role.MEMBER)
    managers = view.managers
    algorithms = algorithm_catalogue(managers.plugins.plugins(principal))
    programs = sorted(managers.tuning.programs(principal, after="", limit=_PROGRAMS), key=lambda p: -p.created_at)
    tenant = principal.tenant
    return Page(
        template="submit.html",
        title="New job",
        here="new",
        scripts=("submit.js",),
        context={
            "frameworks": framework_catalogue(),
            "programs": programs,
            "pools": managers.pools.pools(principal),
            "most_parallel": None if tenant is None else tenant.max_parallel,
            "most_bytes": managers.tuning.max_upload_bytes,
            "data": {
                "algorithms": [
                    AlgorithmOut(**item).model_dump(mode="json", include={"name", "summary", "status", "options"})
                    for item in algorithms
                ],
                "programs": {program.digest: list(program.files)[:2000] for program in programs},
                "from": view.query.get("from", ""),
                "point": view.query.get("point", ""),
                "most_bytes": managers.tuning.max_upload_bytes,
            },
        },
    )


PAGES = (("/new", new),)
