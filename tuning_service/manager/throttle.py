"""Slows those down who guess passwords."""

import ipaddress
import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tuning_service.domain.errors import TooManyRequests

_MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many failures at once, and one more each `every_s` seconds."""

    burst: int
    every_s: float


BY_NAME = Allowance(burst=10, every_s=30.0)
# Many people may share one: an office behind one router.
BY_ADDRESS = Allowance(burst=50, every_s=2.0)


class Throttle:
    """Counts failures by name and by address, in this process: each manager counts its own. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # When the failures counted so far will be forgotten; oldest entries first.
        self._until: dict[Hashable, float] = {}

    def attempt(self, *counted: tuple[Hashable, Allowance]) -> None:
        """Count one attempt for each, as if it failed; `succeeded` takes that back.

        Counted before the outcome is known, so that many at once are no way around it.

        Raises:
            TooManyRequests: with the time after which the next is welcome. Nothing was counted.
        """
        with self._lock:
            now = self._clock()
            waits = [self._wait(key, allowance, now) for key, allowance in counted]
            if (wait := max(waits, default=0.0)) > 0:
                message = f"Too many sign-ins have failed. Try again in {math.ceil(wait)} seconds."
                raise TooManyRequests(message, retry_after_s=wait)
            for key, allowance in counted:
                self._until[key] = max(now, self._until.pop(key, now)) + allowance.every_s
            self._make_room(now)

    def succeeded(self, forgiven: Hashable, *counted: tuple[Hashable, Allowance]) -> None:
        """An attempt was right: what it counted for is taken back, and for `forgiven` all failures are forgotten."""
        with self._lock:
            for key, allowance in counted:
                if key in self._until:
                    self._until[key] -= allowance.every_s
            self._until.pop(forgiven, None)

    def _wait(self, key: Hashable, allowance: Allowance, now: float) -> float:
        """Seconds until there is room for one more."""
        return self._until.get(key, now) - now - (allowance.burst - 1) * allowance.every_s

    def _make_room(self, now: float) -> None:
        if len(self._until) <= _MOST_KEPT:
            return
        self._until = {key: until for key, until in self._until.items() if until > now}
        for key in list(self._until)[: max(0, len(self._until) - _MOST_KEPT // 2)]:
            del self._until[key]


def neighbourhood(address: str) -> str:
    """The address that failures are counted for: with IPv6 the network, of which one guest has all addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
