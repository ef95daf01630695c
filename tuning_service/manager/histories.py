"""A trial's executions with the last lines of each, whatever became of its executor."""

import dataclasses
from collections.abc import Sequence

from tuning_service.domain.trial import TuningTask
from tuning_service.storage.artifacts import ArtifactStore

_LINES = 100
_BYTES = 16 * 1024


def with_log_tails(tasks: Sequence[TuningTask], artifacts: ArtifactStore) -> list[TuningTask]:
    """The tasks; those that ended without their runner's word have the last lines that it had sent before."""
    return [_with_log_tail(task, artifacts) for task in tasks]


def _with_log_tail(task: TuningTask, artifacts: ArtifactStore) -> TuningTask:
    if task.outcome is None or task.outcome.log_tail or not task.log_bytes:
        return task
    start = max(0, task.log_bytes - _BYTES)
    text = artifacts.log(task.tenant_id, task.job_id, task.id, start, _BYTES).decode("utf-8", "replace")
    lines = text.splitlines()[1 if start else 0 :]  # the first may have lost its beginning
    outcome = dataclasses.replace(task.outcome, log_tail="\n".join(lines[-_LINES:]))
    return dataclasses.replace(task, outcome=outcome)
