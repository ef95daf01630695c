"""Pareto fronts of jobs with several objectives, kept up to date by what has ended since the last look."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from tuning_service.domain import pareto
from tuning_service.domain.job import TuningJob
from tuning_service.storage.tenant_scope import TenantScope

_MOST_JOBS = 200


@dataclass(slots=True)
class _Front:
    after: int = -1  # the last end that was looked at
    completed: int = -1  # how many trials had completed by then
    numbers: list[int] = field(default_factory=list)  # of the trials on the front, by the first objective
    losses: list[tuple[float, ...]] = field(default_factory=list)


class Fronts:
    """Remembers the fronts of the jobs that were looked at last. Safe from any thread."""

    def __init__(self) -> None:
        self._fronts: OrderedDict[str, _Front] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, scope: TenantScope, job: TuningJob, completed: int) -> list[int]:
        """Numbers of the trials that meet all constraints and that no other dominates, best first objective first.

        `completed` is how many trials have completed: nothing is read while that is as it was.
        """
        with self._lock:
            known = self._fronts.get(job.id) or _Front()
        if known.completed == completed:
            return known.numbers
        fresh, after = scope.feasible_values(job.id, after=known.after)
        known = _joined(known, [(number, job.spec.losses(values)) for number, values in fresh], after, completed)
        with self._lock:
            self._fronts[job.id] = known
            self._fronts.move_to_end(job.id)
            while len(self._fronts) > _MOST_JOBS:
                self._fronts.popitem(last=False)
        return known.numbers


def _joined(known: _Front, fresh: list[tuple[int, tuple[float, ...]]], after: int, completed: int) -> _Front:
    candidates = sorted([*zip(known.numbers, known.losses, strict=True), *fresh])  # of equal ones the earlier first
    kept = [candidates[place] for place in pareto.front([losses for _, losses in candidates])]
    numbers, losses = [number for number, _ in kept], [losses for _, losses in kept]
    return _Front(after=after, completed=completed, numbers=numbers, losses=losses)
