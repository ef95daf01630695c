"""Several jobs side by side."""

from collections.abc import Sequence
from typing import Any

from tuning_service.analysis.history import progress_line
from tuning_service.analysis.numbers import sentences
from tuning_service.analysis.table import TrialTable
from tuning_service.domain.job import TuningJob
from tuning_service.domain.outlines import TaskOutline

MOST_JOBS = 10


def compare(jobs: Sequence[tuple[TuningJob, TrialTable, Sequence[TaskOutline]]]) -> dict[str, Any]:
    """Their best so far on one axis, and the best configuration of each."""
    lines, bests = [], []
    for job, table, tasks in jobs:
        objective = table.spec.objective
        ranked = table.ranked()
        best = int(ranked[0]) if len(ranked) else None
        bests.append({} if best is None else dict(table.rows[best].params))
        lines.append(
            {
                "job": job.id,
                "name": job.spec.name,
                "status": str(job.status),
                "algorithm": job.spec.algorithm.name,
                "objective": objective.metric,
                "goal": str(objective.goal),
                "trials": len(table),
                "best_trial": None if best is None else table.rows[best].number,
                "best_value": None if best is None else float(table.values[best, 0]),
                "best_feasible": None if best is None else bool(table.feasible[best]),
                "columns": progress_line(table, tasks),
            }
        )
    names = dict.fromkeys(p.name for _, table, _ in jobs for p in table.spec.space)
    return {
        "jobs": lines,
        "parameters": [{"name": name, "best": [best.get(name) for best in bests]} for name in names],
        "note": sentences(_unlike(jobs), _empty(jobs), _several(jobs)),
    }


def _unlike(jobs: Sequence[tuple[TuningJob, TrialTable, Sequence[TaskOutline]]]) -> str:
    aims = {(job.spec.objective.metric, job.spec.objective.goal) for job, _, _ in jobs}
    return "" if len(aims) < 2 else "The jobs have different objectives, whose values cannot be compared."


def _empty(jobs: Sequence[tuple[TuningJob, TrialTable, Sequence[TaskOutline]]]) -> str:
    names = [job.spec.name for job, table, _ in jobs if table.nothing()]
    return "" if not names else f"Without a completed trial: {', '.join(names)}."


def _several(jobs: Sequence[tuple[TuningJob, TrialTable, Sequence[TaskOutline]]]) -> str:
    several = any(len(job.spec.objectives) > 1 for job, _, _ in jobs)
    return "Of several objectives the first is compared." if several else ""
