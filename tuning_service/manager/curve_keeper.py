"""Reduces learning curves once, after their executions have ended, and keeps them in the database."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import structlog

from tuning_service.analysis.curves import reduced
from tuning_service.analysis.numbers import Vector
from tuning_service.storage.outlines import CurveRows, Point
from tuning_service.storage.store import Store

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Beyond these, work is left until somebody looks.
_MOST_WAITING = 10_000


def as_columns(points: Iterable[Point]) -> Vector:
    """(3, n): step, seconds, value."""
    columns = list(zip(*points, strict=True)) or [(), (), ()]
    return np.array(columns, dtype=np.float64)  # None, which stands for nan, becomes one


def read_whole(rows: CurveRows, task_id: str, metric: str) -> Vector:
    """All measurements, (3, n), in 24 bytes each however many there are."""
    chunks = [as_columns(chunk) for chunk in rows.points(task_id, metric)]
    return np.concatenate(chunks, axis=1) if chunks else np.empty((3, 0))


class CurveKeeper:
    """Works through executions one by one in a thread of its own, which it has while there are any.

    What is lost with the process is made when it is next asked for.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="curves")
        self._waiting: set[tuple[str, str | None]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def ended(self, task_id: str) -> None:
        """An execution has ended: its long curves will be reduced. Returns at once."""
        self.wanted([task_id], None)

    def wanted(self, task_ids: Iterable[str], metric: str | None) -> None:
        """The curves of one metric, or of all, will be reduced. Returns at once."""
        with self._lock:
            for task_id in task_ids:
                item = (task_id, metric)
                if self._closed or item in self._waiting or len(self._waiting) >= _MOST_WAITING:
                    continue
                self._waiting.add(item)
                self._thread.submit(self._work, item)

    def _work(self, item: tuple[str, str | None]) -> None:
        task_id, metric = item
        try:
            if not self._closed:
                self._reduce(task_id, metric)
        except Exception:  # noqa: BLE001  # the curve is read again when somebody asks for it
            _log.warning("a learning curve was not reduced", task=task_id, exc_info=True)
        finally:
            with self._lock:
                self._waiting.discard(item)

    def _reduce(self, task_id: str, metric: str | None) -> None:
        with self._store.read() as unit:
            if not unit.curves.has_ended(task_id):
                return
            metrics = unit.curves.long_metrics(task_id) if metric is None else [metric]
            made = {name: reduced(read_whole(unit.curves, task_id, name)) for name in metrics}
        if made:
            with self._store.write() as unit:
                for name, curve in made.items():
                    unit.curves.keep(task_id, name, curve.to_bytes())

    def settle(self) -> None:
        """Return when all that was asked for before is done."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """What waits is left; what is being reduced is finished."""
        with self._lock:
            self._closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)
