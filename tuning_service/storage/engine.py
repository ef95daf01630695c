"""Connections to SQLite and PostgreSQL, and the schema's revision."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from tuning_service.domain.errors import GiveUp

_PACKAGE = Path(__file__).resolve().parents[1]
_SQLITE_WAIT_S = 60.0  # for another process's transaction


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql+psycopg://…`. Does not connect yet.

    Raises:
        GiveUp: the URL is of neither kind.
    """
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError as error:  # whose message has the URL, and so a password perhaps
        message = "The database's URL cannot be read; use sqlite:///FILE or postgresql://user:password@host/name."
        raise GiveUp(message) from error
    if backend == "postgresql":
        return create_engine(make_url(url).set(drivername="postgresql+psycopg"), pool_size=20, pool_pre_ping=True)
    if backend == "sqlite":
        return _open_sqlite(url)
    raise GiveUp(f"The database {backend!r} is not supported; use sqlite:///… or postgresql://…")


def _open_sqlite(url: str) -> Engine:
    engine = create_engine(url, poolclass=QueuePool, pool_size=20, connect_args={"timeout": _SQLITE_WAIT_S})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own transaction handling begins too late (at the first write), so that a transaction that
        # reads and then writes could fail with "database is locked". We begin ourselves, see below.
        connection.isolation_level = None
        # SQLite's own knows the letters of ASCII alone.
        connection.create_function("lower", 1, _lower, deterministic=True)
        _use_wal(connection)
        # NORMAL loses nothing when a process dies, and at most the last transactions when the machine does.
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-8000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and the one writer no longer wait for each other. Of a file that is in this mode already, it stays so."""
    deadline = time.monotonic() + _SQLITE_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Where another process is at the same, SQLite refuses at once instead of waiting as it does elsewhere.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(0.01)


def _lower(value: str | bytes | float | None) -> str | bytes | float | None:
    return value.lower() if isinstance(value, str) else value


def _alembic(engine: Engine) -> Config:
    folder = _PACKAGE.parent / "migrations"
    config = Config()
    # In an installed wheel the folder lies inside the package.
    config.set_main_option("script_location", str(folder if folder.is_dir() else _PACKAGE / "_migrations"))
    config.attributes["engine"] = engine
    return config


def upgrade_schema(engine: Engine) -> str:
    """Bring the schema to this version's revision, and return that revision.

    Raises:
        GiveUp: the database was made by a newer version of the service, or cannot be reached.
    """
    config = _alembic(engine)
    _current_revision(engine, config)
    command.upgrade(config, "head")
    return check_schema(engine)


def check_schema(engine: Engine) -> str:
    """The schema's revision, when it is the one this version was written for.

    Raises:
        GiveUp: it is another one; the message says what to do.
    """
    config = _alembic(engine)
    current = _current_revision(engine, config)
    head = ScriptDirectory.from_config(config).get_current_head()
    if current is None or current != head:
        raise GiveUp(
            f"The database is at revision {current or 'none'}, this version needs {head}: "
            "run 'tuning-service db upgrade' first."
        )
    return current


def _current_revision(engine: Engine, config: Config) -> str | None:
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise GiveUp(f"The database cannot be reached: {error.orig}") from error
    except DatabaseError as error:
        raise GiveUp(f"The database cannot be used: {error.orig}") from error
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise GiveUp(
            f"The database is at revision {current!r}, which this version does not know: "
            "it was made by a newer one. Install that version, or restore a backup."
        )
    return current
