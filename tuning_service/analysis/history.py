"""Best so far: of one job, of several, and as a spark."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuning_service.analysis.numbers import (
    Places,
    Vector,
    amount,
    coded,
    column,
    kept_and_spread,
    rounded,
    sentences,
    spread,
)
from tuning_service.analysis.table import Mask, TrialTable
from tuning_service.domain.outlines import TaskOutline

MOST_ROWS = 2000
MOST_STEPS = 400  # of one job among several
SPARK_POINTS = 30


def best_so_far(losses: Vector, counts: Mask) -> Vector:
    """(n,) the least of `losses` up to each place, of those that count; NaN before the first."""
    least = np.minimum.accumulate(np.where(counts, losses, np.inf)) if len(losses) else losses
    return np.where(np.isinf(least), np.nan, least)


def ended_order(table: TrialTable) -> Places:
    """Places of ended trials in the order of their ends."""
    ended = np.flatnonzero(np.isfinite(table.ended_at))
    return ended[np.lexsort((table.numbers[ended], table.ended_at[ended]))]


def _totals(tasks: Sequence[TaskOutline], moments: Vector, amounts: Sequence[float]) -> Vector:
    """What executions that had ended by each moment had used together."""
    ends = np.array([np.inf if t.ended_at is None else t.ended_at for t in tasks], dtype=float)
    order = np.argsort(ends, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(amounts, dtype=float)[order])])
    return sums[np.searchsorted(ends[order], moments, side="right")]


def costs(tasks: Sequence[TaskOutline], moments: Vector) -> tuple[Vector, Vector]:
    """Money and GPU-hours that were used up to each moment, by executions that had ended."""
    money = _totals(tasks, moments, [t.cost(0.0) if t.ended_at is not None else 0.0 for t in tasks])
    hours = _totals(tasks, moments, [t.gpu_s(0.0) / 3600 if t.ended_at is not None else 0.0 for t in tasks])
    return money, hours


def _steps(best: Vector) -> Places:
    """Places at which the best has changed."""
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(np.isfinite(best) & ~(np.concatenate([[np.nan], best[:-1]]) == best))


def history(table: TrialTable, tasks: Sequence[TaskOutline], metric: str | None) -> dict[str, Any]:
    """Best so far against trials, time and cost."""
    objective = table.objective(metric)
    order = ended_order(table)
    losses, completed = table.losses[order, objective], table.completed[order]
    feasible = table.feasible[order]
    best = best_so_far(losses, completed & feasible)
    steps = _steps(best)
    # Later steps first: if there are more than fit, the newest are those that are asked about.
    chosen = (
        kept_and_spread(len(order), MOST_ROWS, np.concatenate([[len(order) - 1], steps[::-1]])) if len(order) else order
    )
    money, hours = costs(tasks, table.ended_at[order])
    states, codes = coded([table.status[place] for place in order[chosen]])
    sign = table.signs[objective]
    return {
        "objective": table.spec.objectives[objective].metric,
        "goal": str(table.spec.objectives[objective].goal),
        "total": len(order),
        "columns": {
            "number": table.numbers[order[chosen]].tolist(),
            "ended": (chosen + 1).tolist(),
            "ended_at": column(table.ended_at[order[chosen]].round(3)),
            "elapsed": column((table.ended_at[order[chosen]] - table.began).round(3)),
            "cost_cumulative": column(rounded(money[chosen], 9)),
            "gpu_hours_cumulative": column(rounded(hours[chosen], 9)),
            "value": column(np.where(completed, losses * sign, np.nan)[chosen]),
            "best": column((best * sign)[chosen]),
            "status": codes,
            "feasible": feasible[chosen].tolist(),
        },
        "statuses": states,
        "note": sentences(
            table.nothing(),
            _infeasible_note(completed, feasible),
            _thinned_note(len(order), len(chosen)),
            "" if len(order) == 0 or money[-1] > 0 else "The cost is 0: no GPU was used that has a price.",
        ),
    }


def _infeasible_note(completed: Mask, feasible: Mask) -> str:
    if completed.any() and not (completed & feasible).any():
        return "No completed trial meets the metric constraints, so that there is no best."
    return ""


def _thinned_note(total: int, shown: int) -> str:
    if shown == total:
        return ""
    return f"{amount(shown)} of {amount(total)} ended trials are shown: those that were a new best, the others evenly."


def progress_line(table: TrialTable, tasks: Sequence[TaskOutline]) -> dict[str, Any]:
    """Best so far of one job, as one line among several: its steps and its last place."""
    order = ended_order(table)
    best = best_so_far(table.losses[order, 0], table.completed[order] & table.feasible[order])
    places = _steps(best)
    if len(order) and np.isfinite(best[-1]):
        places = np.unique(np.append(places, len(order) - 1))
    places = places[spread(len(places), MOST_STEPS)]
    money, _ = costs(tasks, table.ended_at[order])
    return {
        "ended": (places + 1).tolist(),
        "elapsed": column((table.ended_at[order[places]] - table.began).round(3)),
        "cost": column(rounded(money[places], 9)),
        "best": column(best[places] * table.signs[0]),
    }


def spark(values: Vector, sign: float) -> list[float]:
    """Best so far of completed trials in their order: up to 30 numbers, the last one the best of all."""
    best = np.minimum.accumulate(values * sign) * sign if len(values) else values
    shown: list[float] = best[spread(len(best), SPARK_POINTS)].tolist()
    return shown
