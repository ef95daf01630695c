"""Pareto fronts of jobs with several objectives, kept up to date by what has ended since the last look."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tuning_service.domain import pareto
from tuning_service.domain.job import TuningJob
from tuning_service.storage.tenant_scope import TenantScope

_MOST_JOBS = 500


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
        return self.of_all(scope, [job], {job.id: completed})[job.id]

    def of_all(
        self, scope: TenantScope, jobs: Iterable[TuningJob], completed: Mapping[str, int]
    ) -> dict[str, list[int]]:
        """The same of several jobs, `completed` being by job; what is not remembered is read at once."""
        by_id = {job.id: job for job in jobs}
        with self._lock:
            known = {job_id: self._fronts.get(job_id) or _Front() for job_id in by_id}
        stale = {job_id: front for job_id, front in known.items() if front.completed != completed[job_id]}
        for job_id, fresh in scope.listing.feasible_values({i: front.after for i, front in stale.items()}).items():
            losses = [(number, by_id[job_id].spec.losses(values)) for number, values in fresh.values.items()]
            known[job_id] = _joined(stale[job_id], losses, fresh.after, completed[job_id])
        with self._lock:
            for job_id in stale:
                self._fronts[job_id] = known[job_id]
                self._fronts.move_to_end(job_id)
            while len(self._fronts) > _MOST_JOBS:
                self._fronts.popitem(last=False)
        return {job_id: front.numbers for job_id, front in known.items()}


def _joined(known: _Front, fresh: list[tuple[int, tuple[float, ...]]], after: int, completed: int) -> _Front:
    candidates = sorted([*zip(known.numbers, known.losses, strict=True), *fresh])  # of equal ones the earlier first
    kept = [candidates[place] for place in pareto.front([losses for _, losses in candidates])]
    numbers, losses = [number for number, _ in kept], [losses for _, losses in kept]
    return _Front(after=after, completed=completed, numbers=numbers, losses=losses)
