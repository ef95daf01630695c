"""Samples of what executions use: one row each, with columns of numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from tuning_service.domain.resources import ResourceSample, thinned
from tuning_service.storage.tables_tasks import task_resources
from tuning_service.storage.writes import upsert

_SAMPLES = select(task_resources.c.samples).where(task_resources.c.task_id == bindparam("task"))
_PLAIN = ("elapsed_s", "cpu", "memory_bytes", "threads")
_BY_GPU = ("gpu_memory_bytes", "gpu_utilisation")


class ResourceRows:
    """Rows of any task: whoever asks has found the task among those that it may see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, task_id: str, samples: Sequence[ResourceSample]) -> None:
        """Append `samples`, those later than what is stored; in a transaction that has the task's row locked."""
        known = self.of(task_id)
        last = known[-1].elapsed_s if known else -1.0
        later = sorted((s for s in samples if s.elapsed_s > last), key=lambda s: s.elapsed_s)
        if later:
            row = {"task_id": task_id, "samples": _columns(thinned([*known, *later]))}
            upsert(self._connection, task_resources, [row])

    def of(self, task_id: str) -> list[ResourceSample]:
        """In the order of time."""
        columns = self._connection.execute(_SAMPLES, {"task": task_id}).scalar()
        return [] if columns is None else _samples(columns)


def _columns(samples: Sequence[ResourceSample]) -> dict[str, Any]:
    return {name: [getattr(sample, name) for sample in samples] for name in (*_PLAIN, *_BY_GPU)}


def _samples(columns: Mapping[str, Any]) -> list[ResourceSample]:
    rows = zip(*(columns[name] for name in _PLAIN), *(map(tuple, columns[name]) for name in _BY_GPU), strict=True)
    return [ResourceSample(**dict(zip((*_PLAIN, *_BY_GPU), row, strict=True))) for row in rows]
