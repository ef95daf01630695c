"""Writes that more than one repository makes."""

from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

from tuning_service.storage.tables import events


def add_event(connection: Connection, job_id: str, kind: str, data: dict[str, Any], now: float) -> None:
    """Let those who watch the job know."""
    connection.execute(insert(events).values(job_id=job_id, kind=kind, data=data, at=now))


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose primary key is not there yet; leave the others as they stand."""
    if rows:
        connection.execute(_new_only(connection, table), rows)


def insert_if_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert the row, or return False when its primary key is there already."""
    # RETURNING, since an INSERT's row count is not known on every driver.
    inserted = _new_only(connection, table).values(row).returning(*table.primary_key)
    return connection.execute(inserted).first() is not None


def _new_only(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()
