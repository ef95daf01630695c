"""The application: routes, middleware, OpenAPI."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry

from tuning_service import __version__
from tuning_service.api import (
    analysis,
    artifacts,
    best,
    catalogue,
    errors,
    events,
    examples,
    failures,
    health,
    job_files,
    keys,
    log_search,
    logs,
    plugin_checks,
    plugins,
    points,
    pools,
    program_files,
    programs,
    sessions,
    tenants,
    trials,
    tuning_jobs,
    usage,
    users,
)
from tuning_service.api.deps import Managers
from tuning_service.api.metrics import Metrics
from tuning_service.api.middleware import Entrance, Observed
from tuning_service.api.reading import Readings
from tuning_service.api.senders import Senders
from tuning_service.api.task_artifacts import artifact_routes
from tuning_service.api.tasks import runner_routes
from tuning_service.api.watching import Watch

# Each waits for the database or the artifact store most of its time.
_THREADS = 64
_DESCRIPTION = """
Tunes the hyper-parameters of deep networks on a Spark cluster.

Every request but the health checks carries an API key (`Authorization: Bearer tsk_…`, or `X-API-Key: tsk_…`) or, from
a browser, the cookie of a session (`POST /v1/session`); with the latter, what changes something needs X-CSRF-Token.
Errors are problem documents (RFC 9457) that name the field, what is wrong with it and the remedy. Times are ISO 8601
in UTC. Numbers that JSON cannot write are the strings `"nan"`, `"inf"` and `"-inf"`. Lists come in pages:
`next_cursor` of one is `cursor` of the next. A POST with an `Idempotency-Key` may safely be sent again.
"""

_ROUTES = (
    programs,
    program_files,
    examples,
    job_files,
    tuning_jobs,
    best,
    analysis,
    points,
    trials,
    log_search,
    failures,
    artifacts,
    logs,
    events,
    catalogue,
    plugins,
    plugin_checks,
    keys,
    sessions,
    users,
    tenants,
    usage,
    pools,
    health,
)


def create_app(
    managers: Managers,
    *,
    is_ready: Callable[[], str],
    registry: CollectorRegistry | None = None,
) -> FastAPI:
    """The REST interface as an ASGI application.

    `is_ready` raises while requests cannot be served, and returns what is amiss all the same. `registry` may hold
    further metrics for /metrics. Set `app.state.stopping` (a threading.Event) before the server is stopped, so that
    event and log streams end.
    """
    app = FastAPI(
        title="Tuning service",
        version=__version__,
        description=_DESCRIPTION,
        # The interactive pages load their scripts from the Internet.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    metrics = Metrics(registry)
    app.state.managers, app.state.metrics = managers, metrics
    app.state.is_ready, app.state.stopping = is_ready, threading.Event()
    app.state.watch = Watch(managers.watching, app.state.stopping)
    app.state.readings = Readings(managers.tuning)
    app.router.routes[:0] = [*runner_routes(managers.desk, metrics), *artifact_routes(managers.artifact_desk)]
    for module in _ROUTES:
        app.include_router(module.router)
    app.include_router(trials.table)
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(
        Entrance,
        senders=Senders(managers.access, managers.sessions),
        max_upload_bytes=managers.programs.max_upload_bytes,
        artifact_limit_bytes=managers.artifact_desk.limit_bytes,
    )
    app.add_middleware(Observed, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the documented way
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
    app.state.sign_ins = anyio.CapacityLimiter(sessions.SIGN_INS)
    yield


def _openapi(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with our problem documents in place of the framework's validation errors."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for operations in document["paths"].values():
            for operation in operations.values():
                if "422" in operation["responses"]:
                    operation["responses"]["422"] = errors.responses(422)[422]
        problem = errors.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs"))
        schemas["Problem"] = problem
        app.openapi_schema = document
    return app.openapi_schema
