"""/healthz and /readyz, open to all, and /metrics for operators."""

from collections.abc import Callable

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from tuning_service.api.deps import Counts, Who
from tuning_service.api.errors import responses
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.state import Role

log = structlog.stdlib.get_logger("tuning_service.api")
router = APIRouter(tags=["operation"])


@router.get("/healthz", response_class=PlainTextResponse)
async def alive() -> str:
    """Tell that the process is alive. Needs no key."""
    return "ok"


@router.get("/readyz", response_class=PlainTextResponse)
def ready(request: Request) -> str:
    """Tell that requests can be served: the database answers. Needs no key.

    The text names what is amiss all the same: that the artifact store takes no files.
    """
    is_ready: Callable[[], str] = request.app.state.is_ready
    try:
        amiss = is_ready()
    except Exception as error:
        # Anyone may ask, so the reason stays in the log.
        log.warning("not ready", reason=f"{type(error).__name__}: {error}")
        raise TryAgain("The service is not ready.") from error
    return f"ok, but: {amiss}" if amiss else "ok"


@router.get("/metrics", response_class=Response, responses=responses(403))
def metrics(who: Who, counts: Counts) -> Response:
    """Get the metrics of this process in the format of Prometheus. For operators."""
    who.require(Role.OPERATOR)
    return Response(generate_latest(counts.registry), media_type=CONTENT_TYPE_LATEST)
