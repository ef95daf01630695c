"""Trials against their parameters, against each other, and against the clock."""

from typing import Any

import numpy as np

from tuning_service.analysis.axes import CATEGORICAL, ChartAxis, axes_of, axis_named
from tuning_service.analysis.numbers import (
    Places,
    amount,
    coded,
    column,
    kept_and_spread,
    rounded,
    sentences,
    spread,
    whole,
)
from tuning_service.analysis.table import TrialTable
from tuning_service.domain import pareto
from tuning_service.domain.outlines import TaskOutline
from tuning_service.domain.texts import counted

MOST_POINTS = 5000
# Numbers in one answer, so that it stays below 300 KB.
_MOST_CELLS = 25_000
_DIGITS = 6


def _chosen(table: TrialTable, places: Places, most: int, objective: int = 0) -> tuple[Places, str]:
    """At most `most` of `places`: half of them the best, the others the newest; and what to say of it."""
    if len(places) <= most:
        return places, ""
    ranked = table.ranked(objective)
    best = ranked[np.isin(ranked, places)][: most // 2]
    newest = np.setdiff1d(places, best)[::-1][: most - len(best)]
    said = f"{amount(most)} of {amount(len(places))} trials are shown: the best, and the newest of the others."
    return np.sort(np.concatenate([best, newest])), said


def axis_values(axis: ChartAxis, places: Any) -> list[Any]:
    if axis.kind == CATEGORICAL:
        return [None if np.isnan(p) else int(p) for p in places]
    return column(rounded(places, _DIGITS)) if np.isnan(places).any() else whole(rounded(places, _DIGITS))


def parallel(table: TrialTable) -> dict[str, Any]:
    """Columns for parallel coordinates."""
    axes = axes_of(table.spec.space)
    width = len(axes) + len(table.spec.objectives) + 2
    ended = np.flatnonzero(np.isfinite(table.ended_at))
    chosen, said = _chosen(table, ended, max(100, min(MOST_POINTS, _MOST_CELLS // width)))
    params = table.params(chosen)
    states, codes = coded([table.status[place] for place in chosen])
    fixed = len(table.spec.space) - len(axes)
    values = np.where(table.completed[:, None], table.values, np.nan)
    return {
        "total": len(ended),
        "number": table.numbers[chosen].tolist(),
        "parameters": [axis.described() | {"values": axis_values(axis, axis.places(params))} for axis in axes],
        "objectives": [
            {"name": o.metric, "goal": str(o.goal), "values": column(rounded(values[chosen, i], _DIGITS))}
            for i, o in enumerate(table.spec.objectives)
        ],
        "status": codes,
        "statuses": states,
        "feasible": table.feasible[chosen].tolist(),
        "note": sentences(
            table.nothing() if not len(ended) else "",
            said,
            f"Numbers are rounded to {_DIGITS} digits." if len(ended) else "",
            f"Parameters with one value are left out ({fixed})." if fixed else "",
        ),
    }


def slice_of(table: TrialTable, parameter: str, metric: str | None) -> dict[str, Any]:
    """The objective against one parameter."""
    objective = table.objective(metric)
    axis = axis_named(table.spec.space, parameter, "parameter")
    completed = np.flatnonzero(table.completed)
    places = axis.places(table.params(completed))
    active = completed[~np.isnan(places)]
    chosen, said = _chosen(table, active, MOST_POINTS, objective)
    idle = len(completed) - len(active)
    return {
        "parameter": axis.described(),
        "objective": table.spec.objectives[objective].metric,
        "goal": str(table.spec.objectives[objective].goal),
        "columns": {
            "number": table.numbers[chosen].tolist(),
            "x": axis_values(axis, axis.places(table.params(chosen))),
            "value": column(rounded(table.values[chosen, objective], 9)),
            "feasible": table.feasible[chosen].tolist(),
        },
        "note": sentences(
            table.nothing(),
            said,
            f"Left out: {counted(idle, 'trial')} in which {parameter} is inactive." if idle else "",
        ),
    }


def front_of(table: TrialTable) -> dict[str, Any]:
    """All completed trials by their objectives, and which of them no other dominates."""
    completed = np.flatnonzero(table.completed)
    candidates = completed[table.feasible[completed]]
    on_front = candidates[pareto.front([tuple(row) for row in table.losses[candidates].tolist()])]
    # The front first, so that it is what is kept whole.
    position = np.searchsorted(completed, on_front)
    kept = kept_and_spread(len(completed), MOST_POINTS, position) if len(completed) else completed
    chosen = completed[kept]
    objectives = table.spec.objectives
    thinned = len(chosen) < len(completed)
    return {
        "objectives": [
            {"name": o.metric, "goal": str(o.goal), "values": column(rounded(table.values[chosen, i], 9))}
            for i, o in enumerate(objectives)
        ],
        "number": table.numbers[chosen].tolist(),
        "on_front": np.isin(chosen, on_front).tolist(),
        "feasible": table.feasible[chosen].tolist(),
        "front_size": len(on_front),
        "note": sentences(
            table.nothing(),
            "The job has one objective: its front is the best trial, and those that equal it."
            if len(objectives) == 1
            else "",
            f"{amount(len(chosen))} of {amount(len(completed))} trials are shown: the front first, the others evenly."
            if thinned
            else "",
            "No completed trial meets the metric constraints, so that the front is empty."
            if len(completed) and not len(candidates)
            else "",
        ),
    }


def slots(tasks: list[TaskOutline], began: float, now: float) -> dict[str, Any]:
    """Who ran where and when. Times are seconds since `began`; `end` is null for what still runs."""
    claimed = sorted((t for t in tasks if t.claimed_at is not None), key=lambda t: (t.claimed_at or 0.0, t.id))
    chosen = [claimed[place] for place in spread(len(claimed), MOST_POINTS)]
    hosts, host_codes = coded([t.host for t in chosen])
    gpus, gpu_codes = coded([",".join(t.gpus) for t in chosen])
    states, codes = coded([t.status for t in chosen])
    waiting = len(tasks) - len(claimed)
    return {
        "total": len(claimed),
        "began_at": round(began, 3),
        "now": round(now - began, 3),
        "hosts": hosts,
        "gpu_sets": [text.split(",") if text else [] for text in gpus],
        "statuses": states,
        "columns": {
            "trial": [t.trial_number for t in chosen],
            "task": [t.number for t in chosen],
            "host": host_codes,
            "gpus": gpu_codes,
            "start": [round((t.claimed_at or 0.0) - began, 2) for t in chosen],
            "end": [None if t.ended_at is None else round(t.ended_at - began, 2) for t in chosen],
            "status": codes,
        },
        "note": sentences(
            "" if claimed else "Nothing has run yet.",
            f"{amount(len(chosen))} of {amount(len(claimed))} executions are shown, evenly over their starts."
            if len(chosen) < len(claimed)
            else "",
            f"Left out: {counted(waiting, 'execution')} that no executor has taken." if waiting else "",
        ),
    }
