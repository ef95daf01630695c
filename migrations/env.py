"""Alembic's entry. The service hands its engine over in the configuration's attributes."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import text

from tuning_service.storage import tables_access  # noqa: F401  # its tables are among the metadata's
from tuning_service.storage.tables import Json, metadata


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """A migration must not import the tables as they are today: write our own type as what it is stored as."""
    return "sa.Text()" if kind == "type" and isinstance(item, Json) else False


engine = context.config.attributes["engine"]
# All migrations are one transaction, so that one that is interrupted leaves what was there. Of two who upgrade at once
# the second waits, and then finds nothing to do: with SQLite for the lock that a transaction here takes as it begins.
with engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=render_item,
        transactional_ddl=True,  # alembic takes SQLite to have none, as the driver's own transactions have not
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(7461115)"))
        context.run_migrations()
    connection.commit()
