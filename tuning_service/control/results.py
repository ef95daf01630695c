"""What the measurements of one execution, and the ends of several, amount to."""

import math
from collections.abc import Iterable

from tuning_service.domain.job import JobSpec, Summary
from tuning_service.domain.trial import FaultKind, Measurement, Outcome


def summarise(spec: JobSpec, points: Iterable[Measurement]) -> tuple[dict[str, float], dict[str, float]]:
    """What counts of each required metric, where that is finite; and the last value of each metric.

    Of an objective its summary counts, of a constraint's metric the last value.
    """
    by_best = {o.metric: o for o in spec.objectives if o.summary is Summary.BEST}
    best: dict[str, float] = {}
    last: dict[str, tuple[int, float]] = {}
    for point in points:
        name, value = point.metric, point.value
        if name not in last or point.step >= last[name][0]:
            last[name] = (point.step, value)
        objective = by_best.get(name)
        if objective is not None and math.isfinite(value):
            best[name] = value if name not in best or objective.better(value, best[name]) else best[name]
    metrics = {name: value for name, (_, value) in last.items()}
    counted = {n: (best if n in by_best else metrics).get(n, math.nan) for n in spec.required_metrics}
    return {name: value for name, value in counted.items() if math.isfinite(value)}, metrics


def environment_fault(ends: Iterable[Outcome | None]) -> str:
    """What an executor said that cannot give a job's programs what they need; "" when none of the ends is such.

    First a line, then what led there: all trials need the same, so the job ends, and is resumed when that is mended.
    """
    found = next((end for end in ends if end is not None and end.fault is FaultKind.ENVIRONMENT), None)
    return "" if found is None else f"{found.reason}\n{found.explanation}".strip()
