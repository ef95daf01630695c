"""What is known, as arrays that grow with each observation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuning_service.search.gp.cube import Matrix

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One ended trial. `losses` is None when it failed; `job` is "" for a trial of the job that is searched."""

    number: int
    point: Matrix
    losses: tuple[float, ...] | None
    violations: tuple[float, ...]
    job: str


class History:
    """Ended trials in the order in which they were told."""

    def __init__(self) -> None:
        self.items: list[Known] = []
        self._jobs: dict[str, int] = {"": 0}
        self._points = np.empty((0, 0))

    def add(self, known: Known) -> None:
        """Append one."""
        self.items.append(known)
        self._jobs.setdefault(known.job, len(self._jobs))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Known:
        return self.items[row]

    @property
    def jobs(self) -> int:
        """How many jobs there are, that of the search included."""
        return len(self._jobs)

    def points(self, rows: Rows) -> Matrix:
        """Points of these rows, (n, d)."""
        if len(self._points) < len(self.items):
            self._points = self._grown()
        return self._points[rows]

    def _grown(self) -> Matrix:
        fresh = np.stack([k.point for k in self.items[len(self._points) :]])
        return np.vstack([self._points, fresh]) if len(self._points) else fresh

    def job_of(self, rows: Rows) -> Rows:
        """Number of the job of each row; 0 is that of the search."""
        return np.array([self._jobs[self.items[i].job] for i in rows], dtype=np.int64)

    def losses(self, rows: Rows) -> Matrix:
        """Losses of rows that have any, (n, objectives)."""
        return np.array([self.items[i].losses for i in rows], dtype=np.float64)

    def violations(self, rows: Rows) -> Matrix:
        """Violations of rows that have any, (n, constraints)."""
        return np.array([self.items[i].violations for i in rows], dtype=np.float64)


def chosen(order: Matrix, own: NDArray[np.bool_], most: int) -> Rows:
    """Places of at most `most` of the rows, in their order: half of them the best by `order` (n,), a quarter the last,
    a quarter evenly from all others. Rows of earlier jobs get half of the places at most.
    """
    if len(order) <= most:
        return np.arange(len(order))
    if own.any() and not own.all():
        foreign, mine = np.flatnonzero(~own), np.flatnonzero(own)
        room = max(most // 2, most - len(mine))
        kept = foreign[chosen(order[foreign], own[foreign], room)]
        rest = mine[chosen(order[mine], own[mine], most - len(kept))]
        return np.sort(np.concatenate([kept, rest]))
    best = np.argsort(order, kind="stable")[: most // 2]
    others = np.setdiff1d(np.arange(len(order)), best)
    last, earlier = others[-(most // 4) :], others[: -(most // 4)]
    spread = earlier[np.linspace(0, len(earlier) - 1, most - len(best) - len(last)).astype(np.int64)]
    return np.unique(np.concatenate([best, last, spread]))
