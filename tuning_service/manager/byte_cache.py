"""What a process remembers of what it has read, bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """The values that were used last, in `most_bytes` together. Safe from any thread."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._used = 0
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """What is remembered takes so many bytes, as stated."""
        return self._used

    def get(self, key: Hashable) -> Value | None:
        """The value, or None when it was never there or has been dropped."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: Value, nbytes: int) -> None:
        """Remember `value`; one that is larger than all may be together is not remembered."""
        with self._lock:
            self._drop(key)
            if nbytes > self._most:
                return
            self._values[key] = value, nbytes
            self._used += nbytes
            while self._used > self._most:
                self._drop(next(iter(self._values)))

    def forget(self, chosen: Callable[[Hashable], bool]) -> None:
        """Drop what has a key that is `chosen`."""
        with self._lock:
            for key in [key for key in self._values if chosen(key)]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._used -= dropped[1]
