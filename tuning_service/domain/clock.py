"""Time as a value: seconds since 1970-01-01 UTC, handed in so that tests can set it; and what is done now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[], float]


def system_clock() -> float:
    """Now, in seconds since the epoch."""
    return time.time()


@contextmanager
def now_and_then(action: Callable[[], None], every_s: float, *, name: str) -> Iterator[None]:
    """While the block lasts, `action` is called every `every_s` seconds, in a thread called `name`.

    `action` must not raise: what it does about an error is its own. A call that runs when the block ends is waited for.
    """
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every_s):
            action()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
