"""Answers to requests that carried an Idempotency-Key, so that a second sending gets the first one's answer."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from tuning_service.storage.tables import idempotency_keys
from tuning_service.storage.writes import insert_if_new

_KEPT_S = 24 * 3600.0
_ABANDONED_S = 60.0  # a request that was not answered after this long died with its process


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """`status` 0: the first request is still being worked on."""

    request_hash: str
    status: int
    body: str


class IdempotencyRows:
    """One row for each key that a tenant (or an operator's key) has used within a day."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def reserve(self, scope: str, key: str, request_hash: str, now: float) -> StoredAnswer | None:
        """None when this is the first request with this key, which is marked as begun; else what is known of it."""
        table = idempotency_keys
        abandoned = (table.c.status == 0) & (table.c.created_at < now - _ABANDONED_S)
        self._connection.execute(delete(table).where((table.c.created_at < now - _KEPT_S) | abandoned))
        first = {"scope": scope, "key": key, "request_hash": request_hash, "status": 0, "body": "", "created_at": now}
        # Tried before it is looked up: of two requests at once, one waits here and then finds the other.
        while not insert_if_new(self._connection, table, first):
            row = self._connection.execute(select(table).where(table.c.scope == scope, table.c.key == key)).first()
            if row is not None:  # else the other one was dropped in between, and the key is free
                return StoredAnswer(request_hash=row.request_hash, status=row.status, body=row.body)
        return None

    def complete(self, scope: str, key: str, status: int, body: str) -> None:
        """Keep the answer."""
        table = idempotency_keys
        self._connection.execute(
            update(table).where(table.c.scope == scope, table.c.key == key).values(status=status, body=body)
        )

    def drop(self, scope: str, key: str) -> None:
        """Nothing came of the request: the same key may be used again. An answer that was kept stays."""
        table = idempotency_keys
        mine = table.c.scope == scope, table.c.key == key
        self._connection.execute(delete(table).where(*mine, table.c.status == 0))
