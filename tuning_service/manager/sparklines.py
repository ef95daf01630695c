"""Best so far in a few numbers, for each line of a list of jobs."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import orjson

from tuning_service.analysis.history import spark
from tuning_service.analysis.numbers import Vector
from tuning_service.domain.job import Goal
from tuning_service.manager.byte_cache import ByteCache
from tuning_service.storage.outlines import OutlineRows


@dataclass(frozen=True)
class _Known:
    completed: int  # trials that had completed when it was made
    settled: int  # the last end that was read
    values: Vector  # of feasible trials, in the order of their ends
    line: list[float]


class Sparklines:
    """Remembers what it has read of each job. Safe from any thread."""

    def __init__(self, most_bytes: int) -> None:
        self._cache: ByteCache[_Known] = ByteCache(most_bytes)

    def of(self, rows: OutlineRows, tenant_id: str, job_ids: Collection[str]) -> dict[str, list[float]]:
        """By job, up to 30 numbers; [] with several objectives, and without a completed trial that meets constraints.

        Three queries for all jobs at most; two of small ones when nothing has ended since the last time.
        """
        specs = rows.specs(job_ids)
        signs = {job_id: sign for job_id, spec in specs.items() if (sign := _sign(spec))}
        counts = rows.completed_counts(signs)
        known = {job_id: self._cache.get((tenant_id, job_id)) or _NOTHING for job_id in counts}
        changed = {
            job_id: known[job_id].settled for job_id, count in counts.items() if known[job_id].completed != count
        }
        fresh: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for row in rows.completed(changed):
            counts_here = row.value is not None and row.violation <= 0
            fresh[row.job_id].append((row.settled, row.value if counts_here and row.value is not None else np.nan))
        for job_id, since in changed.items():
            values = np.array([value for _, value in fresh[job_id]], dtype=float)
            values = np.concatenate([known[job_id].values, values[np.isfinite(values)]])
            last = max([since, *(settled for settled, _ in fresh[job_id])])
            line = spark(values, signs[job_id])
            known[job_id] = made = _Known(counts[job_id], last, values, line)
            self._cache.put((tenant_id, job_id), made, values.nbytes + 1500)
        return {job_id: known[job_id].line if job_id in known else [] for job_id in specs}


_NOTHING = _Known(completed=0, settled=-1, values=np.empty(0), line=[])


def _sign(spec: str) -> float | None:
    """1 where less is better, -1 where more is; None with several objectives."""
    objective = orjson.loads(spec)["objective"]
    if isinstance(objective, list):
        if len(objective) != 1:
            return None
        objective = objective[0]
    return 1.0 if objective["goal"] == Goal.MINIMIZE else -1.0
