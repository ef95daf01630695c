"""What routes are handed: who asks, and the managers."""

import threading
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from tuning_service.api.metrics import Metrics
from tuning_service.domain.principal import Principal
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.manager.pool_mgr import PoolMgr

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


async def _tuning(request: Request) -> ModelTuningMgr:
    manager: ModelTuningMgr = request.app.state.tuning
    return manager


async def _access(request: Request) -> AccessMgr:
    manager: AccessMgr = request.app.state.access
    return manager


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _plugins(request: Request) -> PluginMgr:
    manager: PluginMgr = request.app.state.plugins
    return manager


async def _pools(request: Request) -> PoolMgr:
    manager: PoolMgr = request.app.state.pools
    return manager


async def _stopping(request: Request) -> threading.Event:
    event: threading.Event = request.app.state.stopping
    return event


Who = Annotated[Principal, Depends(_principal)]
Tuning = Annotated[ModelTuningMgr, Depends(_tuning)]
Access = Annotated[AccessMgr, Depends(_access)]
Plugins = Annotated[PluginMgr, Depends(_plugins)]
Pools = Annotated[PoolMgr, Depends(_pools)]
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
