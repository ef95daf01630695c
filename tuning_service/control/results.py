"""What the measurements of one execution amount to."""

import math
from collections.abc import Iterable

from tuning_service.domain.job import Objective, Summary
from tuning_service.domain.trial import Measurement


def summarise(objective: Objective, points: Iterable[Measurement]) -> tuple[float | None, dict[str, float]]:
    """The objective's value, None when there is no finite one; and the last value of each metric."""
    last: dict[str, tuple[int, float]] = {}
    best: float | None = None
    for point in points:
        if point.metric not in last or point.step >= last[point.metric][0]:
            last[point.metric] = (point.step, point.value)
        if point.metric == objective.metric and math.isfinite(point.value):
            best = point.value if best is None or objective.better(point.value, best) else best
    metrics = {name: value for name, (_, value) in last.items()}
    if objective.summary is Summary.BEST:
        return best, metrics
    value = metrics.get(objective.metric, math.nan)
    return (value if math.isfinite(value) else None), metrics
