"""Databases with the current schema, as copies of one that was migrated: migrations would take most of a test's time.

Whoever tests the migrations begins with an empty database, and so do the processes that tests start.
"""

import functools
import tempfile
from pathlib import Path

from tuning_service.storage.engine import open_engine, upgrade_schema


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tuning.db"
        migrate(f"sqlite:///{file}")
        return file.read_bytes()


def migrate(url: str) -> None:
    """The current schema, and no connection left: with the last, SQLite's own log is taken into the file."""
    engine = open_engine(url)
    upgrade_schema(engine)
    engine.dispose()


def sqlite_in(folder: Path) -> str:
    """The URL of a new database in `folder`."""
    file = folder / "tuning.db"
    file.write_bytes(_migrated())
    return f"sqlite:///{file}"
