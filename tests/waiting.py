"""How tests wait: for a condition, with a deadline that only a failing test reaches."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")

PATIENCE_S = 60.0


def wait_for(
    condition: Callable[[], Found], what: str | Callable[[], Any] = "it", *, within_s: float = PATIENCE_S
) -> Found:
    """What `condition` returns once that is true. `what` was waited for in vain, or tells what there was instead."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {within_s:g} s in vain for {told}; last: {found!r}")
        time.sleep(0.02)
    return found
