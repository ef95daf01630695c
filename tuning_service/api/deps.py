"""What routes are handed: who asks, and the managers."""

import threading
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

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


async def _tuning(request: Request) -> ModelTuningMgr:
    return managers(request).tuning


async def _access(request: Request) -> AccessMgr:
    return managers(request).access


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _plugins(request: Request) -> PluginMgr:
    return managers(request).plugins


async def _plugin_checks(request: Request) -> PluginCheckMgr:
    return managers(request).plugin_checks


async def _pools(request: Request) -> PoolMgr:
    return managers(request).pools


async def _sessions(request: Request) -> SessionMgr:
    return managers(request).sessions


async def _users(request: Request) -> UserMgr:
    return managers(request).users


async def _welcome(request: Request) -> Welcome:
    return Welcome(request.state.still_welcome)


async def _listing(request: Request) -> ListingMgr:
    return managers(request).listing


async def _steering(request: Request) -> SteeringMgr:
    return managers(request).steering


async def _watch(request: Request) -> Watch:
    watch: Watch = request.app.state.watch
    return watch


async def _readings(request: Request) -> Readings:
    readings: Readings = request.app.state.readings
    return readings


async def _previews(request: Request) -> PreviewMgr:
    return managers(request).previews


async def _programs(request: Request) -> ProgramMgr:
    return managers(request).programs


async def _log_search(request: Request) -> LogSearchMgr:
    return managers(request).log_search


async def _usage(request: Request) -> UsageMgr:
    return managers(request).usage


async def _analysis(request: Request) -> AnalysisMgr:
    return managers(request).analysis


async def _resources(request: Request) -> ResourceMgr:
    return managers(request).resources


async def _artifacts(request: Request) -> ArtifactMgr:
    return managers(request).artifacts


async def _stopping(request: Request) -> threading.Event:
    event: threading.Event = request.app.state.stopping
    return event


Who = Annotated[Principal, Depends(_principal)]
Tuning = Annotated[ModelTuningMgr, Depends(_tuning)]
Listing = Annotated[ListingMgr, Depends(_listing)]
Steering = Annotated[SteeringMgr, Depends(_steering)]
Watcher = Annotated[Watch, Depends(_watch)]
Reads = Annotated[Readings, Depends(_readings)]
Access = Annotated[AccessMgr, Depends(_access)]
Plugins = Annotated[PluginMgr, Depends(_plugins)]
PluginChecks = Annotated[PluginCheckMgr, Depends(_plugin_checks)]
Pools = Annotated[PoolMgr, Depends(_pools)]
Sessions = Annotated[SessionMgr, Depends(_sessions)]
Users = Annotated[UserMgr, Depends(_users)]
Reader = Annotated[Welcome, Depends(_welcome)]  # for streams, after `Who`
Previews = Annotated[PreviewMgr, Depends(_previews)]
Programs = Annotated[ProgramMgr, Depends(_programs)]
LogSearch = Annotated[LogSearchMgr, Depends(_log_search)]
UsageHistory = Annotated[UsageMgr, Depends(_usage)]
Analysis = Annotated[AnalysisMgr, Depends(_analysis)]
Resources = Annotated[ResourceMgr, Depends(_resources)]
Artifacts = Annotated[ArtifactMgr, Depends(_artifacts)]
Counts = Annotated[Metrics, Depends(_metrics)]
Stopping = Annotated[threading.Event, Depends(_stopping)]  # set when the service is about to end: streams end, too
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
