"""Requests that may be sent twice."""

import hashlib
import json
from collections.abc import Callable

from tuning_service.domain.clock import Clock
from tuning_service.domain.errors import Conflict, TryAgain
from tuning_service.domain.principal import Principal
from tuning_service.storage.store import Store, Unit

Answer = tuple[int, str]  # status, body
# Keeps the answer in the transaction that does what was asked for: should the process die right after it, a second
# sending gets that answer all the same.
Keep = Callable[[Unit, Answer], None]


def once(
    store: Store, clock: Clock, principal: Principal, key: str, request: object, action: Callable[[Keep], Answer]
) -> Answer:
    """What `action` answers, or what it answered when the same key came first. Raises as `idempotent` says."""
    scope = principal.key_id  # not the tenant: its people choose the same words, and not all may do all
    digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    with store.write() as unit:
        known = unit.idempotency.reserve(scope, key, digest, clock())
    if known is not None:
        if known.request_hash != digest:
            raise Conflict("This Idempotency-Key was used for a different request; use a new one.")
        if not known.status:
            raise TryAgain("The first request with this Idempotency-Key is still being worked on.")
        return known.status, known.body

    def keep(unit: Unit, answer: Answer) -> None:
        unit.idempotency.complete(scope, key, *answer)

    try:
        answer = action(keep)
    except BaseException:
        with store.write() as unit:
            unit.idempotency.drop(scope, key)
        raise
    with store.write() as unit:
        keep(unit, answer)
    return answer
