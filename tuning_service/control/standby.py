"""Whether a controller can run jobs, or leaves them to another one of its pool that can."""

import time
from collections.abc import Callable, Collection

from tuning_service.domain.pool import ControllerSeen

# An executor that was lost is back within this time, and so is the first one of a new Spark application.
PATIENCE_S = 10.0
_ALONE = "it has no executors."
_BESIDE = (
    "it has no executors, and other controllers of the pool have: set spark.cores.max in the pool's conf, so that each"
    " gets a part of the cluster."
)


class Standby:
    """Of one controller. On a standalone cluster the first application takes all cores, unless it is told not to.

    A job that such a second controller drove would starve, so it drives none while another one can. While nobody can,
    it drives them all the same: jobs are stopped and deleted without executors, too, and say what they wait for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle_since: float | None = None  # None before the first look
        self._is_able = False
        self._others_are = False

    def look(self, *, is_able: bool, others: Collection[ControllerSeen], now: float) -> None:
        """`is_able`: there are executors, or stated slots. `others` of the pool, as they last said, at `now`."""
        if is_able or self._is_able or self._idle_since is None:
            self._idle_since = self._clock()
        self._is_able = is_able
        self._others_are = any(other.is_alive(now) and other.connected and other.cpus for other in others)

    @property
    def claims(self) -> bool:
        """True while jobs may be taken."""
        return self._is_able or not self._others_are

    @property
    def gives_up(self) -> bool:
        """True when the jobs that are held are better off elsewhere."""
        return not self.claims and self._is_idle

    @property
    def problem(self) -> str:
        """What to say of this; "" while all is well."""
        if self._is_able or not self._is_idle:
            return ""
        return _BESIDE if self._others_are else _ALONE

    @property
    def _is_idle(self) -> bool:
        return not self._is_able and self._idle_since is not None and self._clock() - self._idle_since > PATIENCE_S
