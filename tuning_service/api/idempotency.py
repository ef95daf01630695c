"""POST requests that may be sent twice."""

from collections.abc import Callable

from fastapi import Response

from tuning_service.domain.principal import Principal
from tuning_service.manager.idempotency import Answer, Keep
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr


def answered_once(
    tuning: ModelTuningMgr,
    principal: Principal,
    key: str | None,
    request: object,
    action: Callable[[Keep], Answer],
) -> Response:
    """The answer of `action` (status, JSON), or with an Idempotency-Key what it answered the first time.

    `action` may keep its answer earlier than it gives it, in its own transaction.
    """
    worked = False

    def work(keep: Keep) -> Answer:
        nonlocal worked
        worked = True
        return action(keep)

    status, body = work(_keep_nothing) if key is None else tuning.idempotent(principal, key, request, work)
    headers = {} if worked else {"Idempotency-Replayed": "true"}
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def _keep_nothing(_unit: object, _answer: Answer) -> None:
    """Of a request without a key."""


__all__ = ["Answer", "Keep", "answered_once"]
