"""POST requests that may be sent twice."""

from collections.abc import Callable

from fastapi import Response

from tuning_service.domain.principal import Principal
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr


def answered_once(
    tuning: ModelTuningMgr,
    principal: Principal,
    key: str | None,
    request: object,
    action: Callable[[], tuple[int, str]],
) -> Response:
    """The answer of `action` (status, JSON), or with an Idempotency-Key what it answered the first time."""
    worked = False

    def work() -> tuple[int, str]:
        nonlocal worked
        worked = True
        return action()

    status, body = work() if key is None else tuning.idempotent(principal, key, request, work)
    headers = {} if worked else {"Idempotency-Replayed": "true"}
    return Response(body, status_code=status, headers=headers, media_type="application/json")
