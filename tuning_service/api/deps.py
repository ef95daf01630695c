"""What routes are handed: who asks, and the managers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.datastructures import State

from tuning_service.api import cookies
from tuning_service.api.metrics import Metrics
from tuning_service.api.reading import Readings
from tuning_service.api.watching import Watch
from tuning_service.api.welcome import Welcome
from tuning_service.domain.errors import Unauthenticated
from tuning_service.domain.principal import Principal
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.analysis_mgr import AnalysisMgr
from tuning_service.manager.artifact_desk import ArtifactDesk
from tuning_service.manager.artifact_mgr import ArtifactMgr
from tuning_service.manager.job_overview_mgr import JobOverviewMgr
from tuning_service.manager.listing_mgr import ListingMgr
from tuning_service.manager.log_search import LogSearchMgr
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.plugin_checks import PluginCheckMgr
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.manager.preview_mgr import PreviewMgr
from tuning_service.manager.program_mgr import ProgramMgr
from tuning_service.manager.resource_mgr import ResourceMgr
from tuning_service.manager.session_mgr import SessionMgr
from tuning_service.manager.steering_mgr import SteeringMgr
from tuning_service.manager.task_desk import TaskDesk
from tuning_service.manager.usage_mgr import UsageMgr
from tuning_service.manager.user_mgr import UserMgr
from tuning_service.manager.watch_mgr import WatchMgr


@dataclass(frozen=True, slots=True, kw_only=True)
class Managers:
    """All use cases that the interface offers."""

    tuning: ModelTuningMgr
    listing: ListingMgr
    steering: SteeringMgr
    watching: WatchMgr
    access: AccessMgr
    desk: TaskDesk
    plugins: PluginMgr
    plugin_checks: PluginCheckMgr
    pools: PoolMgr
    sessions: SessionMgr
    users: UserMgr
    previews: PreviewMgr
    programs: ProgramMgr
    log_search: LogSearchMgr
    usage: UsageMgr
    overview: JobOverviewMgr
    analysis: AnalysisMgr
    resources: ResourceMgr
    artifacts: ArtifactMgr
    artifact_desk: ArtifactDesk


# Key and session were checked before (middleware.Entrance); these are here so that OpenAPI tells of them.
_BEARER = HTTPBearer(auto_error=False, scheme_name="Bearer", description="Authorization: Bearer tsk_…")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="Header", description="X-API-Key: tsk_…")
_COOKIE = APIKeyCookie(
    name=cookies.NAME,
    auto_error=False,
    scheme_name="Session",
    description="What POST /v1/session sets; over HTTPS its name begins with __Host-. What changes something needs the"
    " header X-CSRF-Token beside it",
)


# All async, since the framework would send plain functions through the thread pool.
async def _principal(
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    _header: Annotated[str | None, Security(_HEADER)],
    _cookie: Annotated[str | None, Security(_COOKIE)],
) -> Principal:
    principal: Principal | None = request.state.principal
    if principal is None:
        raise Unauthenticated  # a page of the portal that wants somebody who is signed in
    return principal


def managers(request: Request) -> Managers:
    """What the application was made with."""
    found: Managers = request.app.state.managers
    return found


def _of(chosen: Callable[[State], object]) -> Any:
    """The dependency that hands a route a part of what the application was made with."""

    async def give(request: Request) -> object:
        return chosen(request.app.state)

    return Depends(give)


async def _welcome(request: Request) -> Welcome:
    return Welcome(request.state.still_welcome)


Who = Annotated[Principal, Depends(_principal)]
Tuning = Annotated[ModelTuningMgr, _of(lambda state: state.managers.tuning)]
Listing = Annotated[ListingMgr, _of(lambda state: state.managers.listing)]
Steering = Annotated[SteeringMgr, _of(lambda state: state.managers.steering)]
Watcher = Annotated[Watch, _of(lambda state: state.watch)]
Reads = Annotated[Readings, _of(lambda state: state.readings)]
Access = Annotated[AccessMgr, _of(lambda state: state.managers.access)]
Plugins = Annotated[PluginMgr, _of(lambda state: state.managers.plugins)]
PluginChecks = Annotated[PluginCheckMgr, _of(lambda state: state.managers.plugin_checks)]
Pools = Annotated[PoolMgr, _of(lambda state: state.managers.pools)]
Sessions = Annotated[SessionMgr, _of(lambda state: state.managers.sessions)]
Users = Annotated[UserMgr, _of(lambda state: state.managers.users)]
Reader = Annotated[Welcome, Depends(_welcome)]  # for streams, after `Who`
Previews = Annotated[PreviewMgr, _of(lambda state: state.managers.previews)]
Programs = Annotated[ProgramMgr, _of(lambda state: state.managers.programs)]
LogSearch = Annotated[LogSearchMgr, _of(lambda state: state.managers.log_search)]
UsageHistory = Annotated[UsageMgr, _of(lambda state: state.managers.usage)]
Analysis = Annotated[AnalysisMgr, _of(lambda state: state.managers.analysis)]
Resources = Annotated[ResourceMgr, _of(lambda state: state.managers.resources)]
Artifacts = Annotated[ArtifactMgr, _of(lambda state: state.managers.artifacts)]
Counts = Annotated[Metrics, _of(lambda state: state.metrics)]
# Set when the service is to end: streams end, too.
Stopping = Annotated[threading.Event, _of(lambda state: state.stopping)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="Any text of your choice: the same request with the same key, sent again within a day, has no"
        " further effect and gets the first one's answer",
    ),
]
