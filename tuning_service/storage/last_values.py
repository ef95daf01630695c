"""What executions have measured last."""

import math
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, TextClause, bindparam, select, text

from tuning_service.storage.tables import tuning_tasks

# The newest measurements of an execution: whatever of it is printed often has its last value among them.
_NEWEST = 100
# How far back a metric is looked for that is not: a validation after thousands of steps. Some milliseconds at most.
_FARTHEST = 20_000


def _among(newest: int, query: str) -> TextClause:
    """`query` over `bounds`: each execution, and the step from which on it has so many measurements."""
    bounds = f"""
WITH bounds AS MATERIALIZED (
  SELECT t.id AS task_id, coalesce(
    (SELECT s.step FROM measurements s WHERE s.task_id = t.id ORDER BY s.step DESC LIMIT 1 OFFSET {newest - 1}),
    (SELECT s.step FROM measurements s WHERE s.task_id = t.id ORDER BY s.step LIMIT 1)) AS low
  FROM tuning_tasks t WHERE t.id IN :tasks)
"""  # noqa: S608  # a number of ours
    return text(bounds + query).bindparams(bindparam("tasks", expanding=True))


_RECENT = _among(
    _NEWEST,
    """
SELECT m.task_id, m.metric, m.value FROM bounds b
JOIN measurements m ON m.task_id = b.task_id AND m.step >= b.low
ORDER BY m.task_id, m.step""",
)
_SOUGHT = _among(
    _FARTHEST,
    """
SELECT m.task_id, m.metric, m.value FROM bounds b
JOIN measurements m ON m.task_id = b.task_id AND m.metric = :metric AND m.step = (
  SELECT s.step FROM measurements s WHERE s.task_id = b.task_id AND s.metric = :metric AND s.step >= b.low
  ORDER BY s.step DESC LIMIT 1)""",
)


class LastValueRows:
    """One tenant's rows. Trials of others have measured nothing."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def of_trials(self, trial_ids: Sequence[str], metrics: Iterable[str]) -> dict[str, dict[str, float]]:
        """By trial, the last value of each metric that its newest execution has measured lately, and of `metrics`."""
        trials = self._newest_executions(trial_ids)
        if not trials:
            return {}
        found: dict[str, dict[str, float]] = {task_id: {} for task_id in trials}
        seen = dict.fromkeys(trials, 0)
        for task_id, metric, value in self._connection.execute(_RECENT, {"tasks": list(trials)}):
            found[task_id][metric] = math.nan if value is None else value
            seen[task_id] += 1
        for name in metrics:
            sought = [i for i in trials if name not in found[i] and seen[i] >= _NEWEST]
            if sought:
                for task_id, metric, value in self._connection.execute(_SOUGHT, {"tasks": sought, "metric": name}):
                    found[task_id][metric] = math.nan if value is None else value
        return {trials[task_id]: values for task_id, values in found.items()}

    def _newest_executions(self, trial_ids: Sequence[str]) -> dict[str, str]:
        """The trials, by the newest execution of each."""
        task = tuning_tasks.c
        rows = self._connection.execute(
            select(task.trial_id, task.id)
            .where(task.trial_id.in_(list(trial_ids)), task.tenant_id == self._tenant_id)
            .order_by(task.number)
        )
        newest = {row.trial_id: row.id for row in rows}
        return {task_id: trial_id for trial_id, task_id in newest.items()}
