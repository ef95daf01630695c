"""Time as a value: seconds since 1970-01-01 UTC, handed in so that tests can set it."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


def system_clock() -> float:
    """Now, in seconds since the epoch."""
    return time.time()
