"""Since when a controller would have heard of runners."""

import time

from tuning_service.storage.managers import WORD_S
from tuning_service.storage.store import Unit

_READ_S = 1.0


class Hearing:
    """A runner's silence tells nothing of the time in which nobody could have heard it.

    While the database is away runners' heartbeats cannot be stored, and a controller that sleeps reads none: what it
    finds when it is back is old, although all trainings go on. While all managers are away, nobody takes reports.
    """

    def __init__(self, silent_s: float, *, managers_apart: bool = False) -> None:
        """`silent_s`: a task that is silent for longer is lost. `managers_apart`: they are other processes."""
        self._longest_gap_s = silent_s / 3
        self._apart = managers_apart
        self._managers_at = 0.0
        self._read_at: float | None = None
        self._last: float | None = None
        self._since = 0.0

    def look(self, unit: Unit, now: float) -> float:
        """The moment from which on silence counts. Called with each look at what is stored, so about once a second."""
        if not self._apart:
            return self.at(now)
        if self._read_at is None or time.monotonic() - self._read_at >= _READ_S:
            self._managers_at, self._read_at = unit.managers.last_word(), time.monotonic()
        return self.at(now, self._managers_at)

    def at(self, now: float, managers_at: float | None = None) -> float:
        """`look`, when a manager was last heard of at `managers_at`; None when that does not matter."""
        away = managers_at is not None and now - managers_at > max(self._longest_gap_s, 3 * WORD_S)
        if away or self._last is None or not 0 <= now - self._last <= self._longest_gap_s:
            self._since = now
        self._last = now
        return self._since
