"""What routes are handed: who asks, and the managers."""

import threading
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from tuning_service.api.metrics import Metrics
from tuning_service.domain.principal import Principal
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.artifact_desk import ArtifactDesk
from tuning_service.manager.artifact_mgr import ArtifactMgr
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.manager.resource_mgr import ResourceMgr
from tuning_service.manager.task_desk import TaskDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Managers:
    """All use cases that the interface offers."""

    tuning: ModelTuningMgr
    access: AccessMgr
    desk: TaskDesk
    plugins: PluginMgr
    pools: PoolMgr
    resources: ResourceMgr
    artifacts: ArtifactMgr
    artifact_desk: ArtifactDesk


# The key was checked before (middleware.Entrance); these two are here so that OpenAPI tells of it.
_BEARER = HTTPBearer(auto_error=False, scheme_name="Bearer", description="Authorization: Bearer tsk_…")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="Header", description="X-API-Key: tsk_…")


# All async, since the framework would send plain functions through the thread pool.
async def _principal(
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    _header: Annotated[str | None, Security(_HEADER)],
) -> Principal:
    principal: Principal = request.state.principal
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


async def _pools(request: Request) -> PoolMgr:
    return managers(request).pools


async def _resources(request: Request) -> ResourceMgr:
    return managers(request).resources


async def _artifacts(request: Request) -> ArtifactMgr:
    return managers(request).artifacts


async def _stopping(request: Request) -> threading.Event:
    event: threading.Event = request.app.state.stopping
    return event


Who = Annotated[Principal, Depends(_principal)]
Tuning = Annotated[ModelTuningMgr, Depends(_tuning)]
Access = Annotated[AccessMgr, Depends(_access)]
Plugins = Annotated[PluginMgr, Depends(_plugins)]
Pools = Annotated[PoolMgr, Depends(_pools)]
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
