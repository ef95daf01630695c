"""Hands out GPU addresses where Spark cannot: in local mode."""

import threading
from collections.abc import Sequence

from tuning_service.domain.errors import TryAgain

_EPSILON = 1e-9  # three thirds are one


class GpuPool:
    """Which handle holds how much of which GPU. May be called from any thread."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._free = dict.fromkeys(addresses, 1.0)
        self._held: dict[str, tuple[tuple[str, ...], float]] = {}
        self._lock = threading.Lock()

    def acquire(self, handles: Sequence[str], amount: float) -> dict[str, tuple[str, ...]]:
        """The addresses that each handle now holds: one GPU shared when `amount` is a fraction, else whole ones.

        Raises:
            TryAgain: there is not enough for all of them; none holds anything then.
        """
        if not amount:
            return dict.fromkeys(handles, ())
        with self._lock:
            given: dict[str, tuple[str, ...]] = {}
            for handle in handles:
                addresses = self._choose(amount)
                if not addresses:
                    for taken in given:
                        self._release(taken)
                    raise TryAgain(f"There are not {amount:g} GPUs free for each of {len(handles)} tasks.")
                share = min(amount, 1.0)
                for address in addresses:
                    self._free[address] -= share
                self._held[handle] = addresses, share
                given[handle] = addresses
            return given

    def release(self, handle: str) -> None:
        """What `handle` held, if anything, is free again."""
        with self._lock:
            self._release(handle)

    def _choose(self, amount: float) -> tuple[str, ...]:
        share, count = (amount, 1) if amount <= 1 else (1.0, int(amount))
        fitting = [address for address, free in self._free.items() if free >= share - _EPSILON]
        # The fullest that fits, so that fractions gather on few GPUs and whole ones stay free.
        fitting.sort(key=self._free.__getitem__)
        return tuple(fitting[:count]) if len(fitting) >= count else ()

    def _release(self, handle: str) -> None:
        addresses, share = self._held.pop(handle, ((), 0.0))
        for address in addresses:
            free = self._free[address] + share
            self._free[address] = 1.0 if free > 1 - _EPSILON else free
