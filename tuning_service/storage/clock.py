"""The database's clock, which all processes of a deployment share, whatever their machines' clocks say."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import structlog
from sqlalchemy import Engine, text

from tuning_service.domain.clock import now_and_then

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LARGE_SKEW_S = 5.0  # is spoken of
_EVERY_S = 60.0
# Goes on while the machine sleeps, where the system has such a clock; the monotonic one stands still then.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_NOW = {
    "postgresql": text("SELECT EXTRACT(EPOCH FROM clock_timestamp())"),
    # In whole milliseconds, of the machine that the file is on.
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400.0"),
}


class DatabaseClock:
    """Seconds since the epoch by the database's clock. Called as a function; safe from any thread.

    Between two looks at the database it goes on by a clock of the machine that nobody sets, so that a step of the
    machine's own clock is no step here. Leases, heartbeats, quotas and usage of several processes are comparable by it.
    """

    def __init__(self, engine: Engine, machine: Callable[[], float] = time.time) -> None:
        """Looks at the database once. `machine` is the clock that `skew_s` is about."""
        self._engine = engine
        self._machine = machine
        self._ahead = 0.0  # of the steady clock
        self.skew_s = 0.0  # by how much the machine's clock is ahead of the database's, as of the last look
        self._told = False
        self.look()

    def __call__(self) -> float:
        return _steady() + self._ahead

    def look(self) -> None:
        """Take the database's time anew; a skew that is large is logged when it turns out, and when it is gone."""
        with self._engine.connect() as connection:
            before = _steady()
            found = float(connection.execute(_NOW[self._engine.dialect.name]).scalar_one())
            after = _steady()
        # The answer is from somewhere between the question and now.
        self._ahead = found - (before + after) / 2
        self.skew_s = self._machine() - after - self._ahead
        large = abs(self.skew_s) > LARGE_SKEW_S
        if large and not self._told:
            _log.warning(
                "this machine's clock is not the database's; the database's is used", ahead_s=round(self.skew_s, 1)
            )
        elif self._told and not large:
            _log.info("this machine's clock is the database's again")
        self._told = large

    def kept(self, every_s: float = _EVERY_S) -> AbstractContextManager[None]:
        """Look again now and then, in a thread, while the block runs."""
        return now_and_then(self._look_again, every_s, name="clock")

    def _look_again(self) -> None:
        try:
            self.look()
        except Exception as error:  # noqa: BLE001 - the database may be away; what was known serves on
            _log.warning("the database's clock could not be read", detail=str(error))


def _steady() -> float:
    return time.clock_gettime(_STEADY)
