"""/v1/algorithms and /v1/frameworks: what a job file may name."""

from collections.abc import Sequence

from fastapi import APIRouter

from tuning_service.api.deps import Plugins, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import AlgorithmOut, FrameworkOut, Page
from tuning_service.domain.errors import NotFound
from tuning_service.domain.plugin import Plugin
from tuning_service.domain.principal import Principal
from tuning_service.manager.catalogue import algorithm_catalogue, framework_catalogue
from tuning_service.manager.plugin_mgr import PluginMgr

router = APIRouter(prefix="/v1", tags=["catalogue"], responses=responses())


@router.get("/algorithms")
def list_algorithms(who: Who, plugins: Plugins) -> Page[AlgorithmOut]:
    """List the search algorithms, built in and plugged in, each with the JSON schema of its options."""
    return Page(items=[AlgorithmOut(**item) for item in algorithm_catalogue(_plugins_of(who, plugins))])


@router.get("/algorithms/{name}", responses=responses(404))
def get_algorithm(name: str, who: Who, plugins: Plugins) -> AlgorithmOut:
    """Get one search algorithm."""
    for item in algorithm_catalogue(_plugins_of(who, plugins)):
        if item["name"] == name:
            return AlgorithmOut(**item)
    raise NotFound(f"There is no algorithm {name!r}.")


def _plugins_of(who: Principal, plugins: PluginMgr) -> Sequence[Plugin]:
    # An operator's key sees no tenant's, and so sees what is built in.
    return [] if who.tenant is None else plugins.plugins(who)


@router.get("/frameworks")
def list_frameworks(_who: Who) -> Page[FrameworkOut]:
    """List the frameworks that programs may be written with."""
    return Page(items=[FrameworkOut(**item) for item in framework_catalogue()])
