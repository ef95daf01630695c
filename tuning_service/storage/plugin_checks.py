"""Rows of checks of plug-ins: what came of the last one, and whether one runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, update

from tuning_service.storage.rows import AnyRow
from tuning_service.storage.tables_plugins import plugin_checks
from tuning_service.storage.writes import insert_if_new

WORD_S = 5.0  # whoever runs a check says so often that it goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheck:
    """`results` of the last check that had any, which ended at `ended_at`; of one that had none yet, since when."""

    began_at: float | None = None
    seen_at: float | None = None
    ended_at: float | None = None
    results: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def is_running(self, now: float) -> bool:
        """False too when it has not been heard of for some time: its process is gone."""
        return self.seen_at is not None and now - self.seen_at < 4 * WORD_S


class PluginCheckRows:
    """Checks of plug-ins that the caller has found among those of its tenant."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, plugin_ids: Collection[str]) -> dict[str, StoredCheck]:
        """Of those that were ever begun."""
        rows = self._connection.execute(select(plugin_checks).where(plugin_checks.c.plugin_id.in_(list(plugin_ids))))
        return {row.plugin_id: _check_from(row) for row in rows}

    def claim(self, plugin_id: str, run: str, now: float) -> bool:
        """`run` checks the plug-in from now on; False when another run does."""
        began = {"run": run, "began_at": now, "seen_at": now}
        if insert_if_new(self._connection, plugin_checks, {"plugin_id": plugin_id, **began}):
            return True
        row = self._connection.execute(
            select(plugin_checks).where(plugin_checks.c.plugin_id == plugin_id).with_for_update()
        ).one()
        if _check_from(row).is_running(now):
            return False
        self._connection.execute(update(plugin_checks).where(plugin_checks.c.plugin_id == plugin_id).values(began))
        return True

    def goes_on(self, plugin_id: str, run: str, now: float) -> None:
        """The run is heard of."""
        self._set(plugin_id, run, {"seen_at": now})

    def end(self, plugin_id: str, run: str, now: float, results: Sequence[Mapping[str, Any]] | None) -> None:
        """The run is over; without `results` the last ones stay. Nothing happens when another run took its place."""
        over: dict[str, Any] = {"run": None, "began_at": None, "seen_at": None}
        if results is not None:
            over |= {"ended_at": now, "results": list(results)}
        self._set(plugin_id, run, over)

    def _set(self, plugin_id: str, run: str, values: Mapping[str, Any]) -> None:
        mine = (plugin_checks.c.plugin_id == plugin_id, plugin_checks.c.run == run)
        self._connection.execute(update(plugin_checks).where(*mine).values(values))


def _check_from(row: AnyRow) -> StoredCheck:
    return StoredCheck(
        began_at=row.began_at, seen_at=row.seen_at, ended_at=row.ended_at, results=tuple(row.results or ())
    )
