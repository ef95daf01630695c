"""Streams end when whoever reads them would not be let in any more."""

import time
from collections.abc import Callable

import anyio.to_thread

CHECK_S = 5.0


class Welcome:
    """Asks at times whether a key was revoked meanwhile, or a session has ended."""

    def __init__(self, still_welcome: Callable[[], bool]) -> None:
        """`still_welcome` is the request's, see senders.py; it is called in a thread."""
        self._still_welcome = still_welcome
        self._asked_at = time.monotonic()

    async def lasts(self) -> bool:
        """False once the reader is to be sent away. Asks anew each CHECK_S seconds, however often it is called."""
        if time.monotonic() - self._asked_at < CHECK_S:
            return True
        self._asked_at = time.monotonic()
        return await anyio.to_thread.run_sync(self._still_welcome)
