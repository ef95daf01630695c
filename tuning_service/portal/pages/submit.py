"""The form for a new job. All that it knows of a job file it asks of REST: what is right, and what is wrong where."""

from collections.abc import Sequence

from tuning_service.api.schemas import AlgorithmOut
from tuning_service.domain.errors import Denied
from tuning_service.frameworks.base import frameworks
from tuning_service.manager.catalogue import algorithm_catalogue, framework_catalogue
from tuning_service.manager.examples import examples
from tuning_service.manager.listing_mgr import JobQuery
from tuning_service.portal.view import Page, View
from tuning_service.storage.tenant_scope import Program

_PROGRAMS = 100
# They are stored by digest: so many are looked at for the newest.
_LOOKED_AT = 2000
_JOBS = 10


def new(view: View) -> Page:
    """An empty form, or one filled from `?from=JOB`, with `&point=N` that trial's configuration first."""
    principal, tenant = view.principal, view.principal.tenant
    if tenant is None:
        raise Denied("An operator's key belongs to no tenant. Sign in as a member of one to start jobs.")
    if not view.may("member"):
        raise Denied(f"Starting jobs needs the role member; yours is {principal.role}. Ask an administrator for it.")
    managers = view.managers
    algorithms = algorithm_catalogue(managers.plugins.plugins(principal))
    return Page(
        template="submit.html",
        title="New job",
        here="new",
        scripts=("submit.js",),
        context={
            "frameworks": framework_catalogue(),
            "programs": _newest_programs(view),
            "examples": examples(),
            "jobs": managers.listing.jobs(principal, JobQuery(), limit=_JOBS).views,
            "pools": managers.pools.pools(principal),
            "most_parallel": tenant.max_parallel,
            "most_bytes": managers.programs.max_upload_bytes,
            "data": {
                "who": f"{tenant.id}/{principal.key_id}",
                "algorithms": [
                    AlgorithmOut(**item).model_dump(mode="json", include={"name", "summary", "status", "options"})
                    for item in algorithms
                ],
                "commands": {name: manager.command for name, manager in frameworks().items() if manager.command},
                "from": view.query.get("from", ""),
                "point": view.query.get("point", ""),
                "most_bytes": managers.programs.max_upload_bytes,
            },
        },
    )


def _newest_programs(view: View) -> Sequence[Program]:
    found = view.managers.programs.programs(view.principal, after="", limit=_LOOKED_AT)
    return sorted(found, key=lambda program: -program.created_at)[:_PROGRAMS]


PAGES = (("/new", new),)
