"""One order over observations with several objectives and with limits on metrics, for algorithms that need only that.

Feasible trials come before infeasible ones and those before failed ones (constraint domination). Among feasible ones
the front of those that nobody dominates comes first, then the front of the rest, and so on; within a front, the
lonelier a trial the better (crowding). Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
2002.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.trial import Observation

Matrix = NDArray[np.float64]

# Squares and differences of what is larger would overflow.
_LARGEST = 1e150


def best_first(observations: Sequence[Observation], most: int | None = None) -> list[int]:
    """Places of all `observations`, the best first, equal ones in the order given.

    All numbers are finite, as many losses in each as in the others. With `most`, the order is right as far as that
    many; those behind stand in no particular order but for their class (feasible, infeasible, failed).
    """
    feasible = [i for i, o in enumerate(observations) if o.losses is not None and o.is_feasible]
    infeasible = [i for i, o in enumerate(observations) if o.losses is not None and not o.is_feasible]
    failed = [i for i, o in enumerate(observations) if o.losses is None]
    wanted = len(feasible) if most is None else most
    return [
        *_by_losses(feasible, np.array([observations[i].losses for i in feasible], dtype=float), wanted),
        *_by_violations(infeasible, np.array([observations[i].violations for i in infeasible], dtype=float)),
        *failed,
    ]


def ranks(observations: Sequence[Observation]) -> NDArray[np.int64]:
    """For each observation its place in `best_first`, 0 for the best."""
    places = np.empty(len(observations), dtype=np.int64)
    places[best_first(observations)] = np.arange(len(observations))
    return places


def front(losses: Matrix) -> NDArray[np.int64]:
    """Rows of `losses` (n, m), less is better, that no other row dominates; equal rows do not dominate each other."""
    # In lexicographic order whoever dominates a row stands before it, so the first one left is always in the front.
    unique, group = np.unique(losses, axis=0, return_inverse=True)
    columns = np.ascontiguousarray(unique.T)
    rest = np.arange(len(unique))
    in_front = np.zeros(len(unique), dtype=bool)
    while len(rest):
        in_front[rest[0]] = True
        better = columns[0] < columns[0, 0]
        for column in columns[1:]:
            better |= column < column[0]
        columns, rest = columns[:, better], rest[better]
    return np.flatnonzero(in_front[group])


def crowding(losses: Matrix) -> NDArray[np.float64]:
    """How far apart from its neighbours each row of a front (n, m) stands; inf at the ends of each objective."""
    clipped = np.clip(losses, -_LARGEST, _LARGEST)
    distance = np.zeros(len(losses))
    for column in clipped.T:
        order = np.argsort(column, kind="stable")
        values = column[order]
        width = values[-1] - values[0]
        distance[order[[0, -1]]] = math.inf
        if width > 0:
            distance[order[1:-1]] += (values[2:] - values[:-2]) / width
    return distance


def _by_losses(places: list[int], losses: Matrix, wanted: int) -> list[int]:
    if not places:
        return []
    if losses.shape[1] == 1:
        return [places[i] for i in np.argsort(losses[:, 0], kind="stable")]
    ordered: list[int] = []
    rest = np.arange(len(places))
    while len(rest) and len(ordered) < wanted:
        here = front(losses[rest])
        lonely = np.argsort(-crowding(losses[rest[here]]), kind="stable")
        ordered += rest[here][lonely].tolist()
        rest = np.delete(rest, here)
    return [places[i] for i in (*ordered, *rest.tolist())]


def _by_violations(places: list[int], violations: Matrix) -> list[int]:
    """By the sum of what is violated, each limit in units of the middle of its own violations."""
    if not places:
        return []
    over = np.clip(violations, 0.0, _LARGEST)
    units = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in over.T])
    # A unit may be so small that a quotient is not finite.
    with np.errstate(over="ignore"):
        total = np.minimum(over / units, _LARGEST).sum(axis=1)
    return [places[i] for i in np.argsort(total, kind="stable")]
