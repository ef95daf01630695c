"""Managers that are here, by their own word."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from tuning_service.storage.tables import managers
from tuning_service.storage.writes import upsert

WORD_S = 1.0  # a manager says so often that it is here
_FORGOTTEN_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerSeen:
    """One manager process; `problem` is why it cannot store files, "" when it can."""

    id: str
    seen_at: float
    problem: str

    def is_alive(self, now: float) -> bool:
        """False when it has not been heard of for some time."""
        return now - self.seen_at < 5 * WORD_S


class ManagerRows:
    """Written by managers, read by them and by controllers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def heard_of(self, manager_id: str, now: float, problem: str = "") -> None:
        """A manager says that it is here."""
        upsert(self._connection, managers, [{"id": manager_id, "seen_at": now, "problem": problem}])

    def forget(self, manager_id: str, now: float) -> None:
        """A manager has ended in good order; those that went otherwise are forgotten after a day."""
        gone = (managers.c.id == manager_id) | (managers.c.seen_at < now - _FORGOTTEN_S)
        self._connection.execute(delete(managers).where(gone))

    def all(self) -> Sequence[ManagerSeen]:
        """Those that have not ended in good order."""
        rows = self._connection.execute(select(managers))
        return [ManagerSeen(id=row.id, seen_at=row.seen_at, problem=row.problem) for row in rows]

    def last_word(self) -> float:
        """When any manager last said that it is here; 0 when none is known."""
        last: float | None = self._connection.execute(select(func.max(managers.c.seen_at))).scalar()
        return last or 0.0
