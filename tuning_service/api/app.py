"""The application: routes, middleware, OpenAPI."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry

from tuning_service import __version__
from tuning_service.api import (
    best,
    catalogue,
    errors,
    events,
    health,
    keys,
    logs,
    plugins,
    points,
    pools,
    programs,
    tenants,
    trials,
    tuning_jobs,
)
from tuning_service.api.deps import Managers
from tuning_service.api.metrics import Metrics
from tuning_service.api.middleware import Entrance, Observed
from tuning_service.api.tasks import runner_routes

# Each waits for the database or the artifact store most of its time.
_THREADS = 64
_DESCRIPTION = """
Tunes the hyper-parameters of deep networks on a Spark cluster.

Every request but the health checks carries an API key: `Authorization: Bearer tsk_…`, or `X-API-Key: tsk_…`.
Errors are problem documents (RFC 9457) that name the field, what is wrong with it and the remedy. Times are ISO 8601
in UTC. Numbers that JSON cannot write are the strings `"nan"`, `"inf"` and `"-inf"`. Lists come in pages:
`next_cursor` of one is `cursor` of the next. A POST with an `Idempotency-Key` may safely be sent again.
"""


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
    app.router.routes[:0] = runner_routes(managers.desk, metrics)
    for module in (
        programs,
        tuning_jobs,
        best,
        points,
        trials,
        logs,
        events,
        catalogue,
        plugins,
        keys,
        tenants,
        pools,
        health,
    ):
        app.include_router(module.router)
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(Entrance, access=managers.access, max_upload_bytes=managers.tuning.max_upload_bytes)
    app.add_middleware(Observed, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the documented way
    return app


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
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
