"""Since when a controller would have heard of runners."""


class Hearing:
    """A runner's silence tells nothing of the time in which nobody could have heard it.

    While the database is away runners' heartbeats cannot be stored, and a controller that sleeps reads none: what it
    finds when it is back is old, although all trainings go on.
    """

    def __init__(self, silent_s: float) -> None:
        """`silent_s`: a task that is silent for longer is lost."""
        self._longest_gap_s = silent_s / 3
        self._last: float | None = None
        self._since = 0.0

    def at(self, now: float) -> float:
        """The moment from which on silence counts. Called with each look at what is stored, so about once a second."""
        if self._last is None or not 0 <= now - self._last <= self._longest_gap_s:
            self._since = now
        self._last = now
        return self._since
