"""Answers to requests that carried an Idempotency-Key, so that a second sending gets the first one's answer."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select

from tuning_service.storage.tables import idempotency_keys
from tuning_service.storage.writes import insert_new

_KEPT_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    scope: str  # tenant's id, or an operator key's
    key: str
    request_hash: str
    status: int
    body: str
    created_at: float


class IdempotencyRows:
    """Kept for a day."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def recall(self, scope: str, key: str) -> StoredAnswer | None:
        """The answer to the first request with this key."""
        row = self._connection.execute(
            select(idempotency_keys).where(idempotency_keys.c.scope == scope, idempotency_keys.c.key == key)
        ).first()
        return None if row is None else StoredAnswer(*row)

    def remember(self, answer: StoredAnswer) -> None:
        """Keep the answer, unless there is one; forget what is older than a day."""
        self._connection.execute(
            delete(idempotency_keys).where(idempotency_keys.c.created_at < answer.created_at - _KEPT_S)
        )
        insert_new(self._connection, idempotency_keys, [asdict(answer)])
