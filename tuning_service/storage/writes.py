"""Writes that more than one repository makes."""

from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

from tuning_service.storage.tables import events


def add_event(connection: Connection, job_id: str, kind: str, data: dict[str, Any], now: float) -> None:
    """Let those who watch the job know."""
    connection.execute(insert(events).values(job_id=job_id, kind=kind, data=data, at=now))


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose primary key is not there yet, and leave the others as they stand; how many were new."""
    if not rows:
        return 0
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows).rowcount
