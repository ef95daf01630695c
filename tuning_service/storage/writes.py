"""Writes that more than one repository makes."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

from tuning_service.storage.tables import events

_ADD_EVENT = insert(events)


def add_event(connection: Connection, job_id: str, kind: str, data: dict[str, Any], now: float) -> None:
    """Let those who watch the job know."""
    connection.execute(_ADD_EVENT, {"job_id": job_id, "kind": kind, "data": data, "at": now})


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows; where one with the same primary key is there already, the new one takes its place."""
    if rows:
        connection.execute(_upsert(table, connection.dialect.name), rows)


def insert_if_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert the row, or return False when its primary key is there already."""
    # RETURNING, since an INSERT's row count is not known on every driver.
    new_only = insert_into(table, connection.dialect.name).on_conflict_do_nothing()
    return connection.execute(new_only.values(row).returning(*table.primary_key)).first() is not None


@lru_cache
def _upsert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    statement = insert_into(table, dialect)
    rest = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)


def insert_into(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An INSERT in the database's own kind, which knows what to do on a conflict."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)
