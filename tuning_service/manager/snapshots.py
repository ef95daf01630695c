"""A job's trials and executions as far as they are known: what has ended is read once."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tuning_service.analysis.table import TrialTable
from tuning_service.domain.job import TuningJob
from tuning_service.domain.outlines import TaskOutline, TrialOutline
from tuning_service.manager.byte_cache import ByteCache
from tuning_service.storage.outlines import OutlineRows

# What a trial and an execution take in memory, about: texts and numbers of ordinary spaces.
_TRIAL_BYTES, _TASK_BYTES, _PARAM_BYTES = 900, 700, 120
# Ends are dated before they are stored, and by clocks of several machines.
_OVERLAP_S = 600.0
_versions = itertools.count(1)


@dataclass(frozen=True)
class Snapshot:
    """Trials by number, executions by trial. Equal `version`s: nothing has changed in between."""

    table: TrialTable
    tasks: Sequence[TaskOutline]
    version: int
    settled: int = -1  # the last end that was read
    ended: float = 0.0  # the last end of an execution


class Snapshots:
    """Remembers the snapshots of the jobs that were looked at last. Safe from any thread."""

    def __init__(self, most_bytes: int) -> None:
        self._cache: ByteCache[Snapshot] = ByteCache(most_bytes)

    def of(self, rows: OutlineRows, job: TuningJob) -> Snapshot:
        """The job as it is now. `job` must have been found for who asks."""
        key = (job.tenant_id, job.id)
        known = self._cache.get(key) or Snapshot(_table(job, ()), (), next(_versions))
        fresh_trials = rows.trials(job.id, after=known.settled)
        fresh_tasks = rows.tasks(job.id, ended_since=known.ended - _OVERLAP_S)
        trials = {row.number: row for row in known.table.rows}
        tasks = {task.id: task for task in known.tasks}
        unchanged = (
            known.table.spec == job.spec
            and known.table.began == _began(job)
            and all(trials.get(row.number) == row for row in fresh_trials)
            and all(tasks.get(task.id) == task for task in fresh_tasks)
        )
        if unchanged:
            return known
        trials.update((row.number, row) for row in fresh_trials)
        tasks.update((task.id, task) for task in fresh_tasks)
        made = Snapshot(
            table=_table(job, [trials[number] for number in sorted(trials)]),
            tasks=sorted(tasks.values(), key=lambda t: (t.trial_number, t.number)),
            version=next(_versions),
            settled=max([known.settled, *(row.settled for row in fresh_trials if row.settled is not None)]),
            ended=max([known.ended, *(task.ended_at for task in fresh_tasks if task.ended_at is not None)]),
        )
        per_trial = _TRIAL_BYTES + _PARAM_BYTES * (len(job.spec.space) + 2 * len(job.spec.metrics))
        self._cache.put(key, made, len(trials) * per_trial + len(tasks) * _TASK_BYTES)
        return made

    def forget(self, tenant_id: str, job_id: str) -> None:
        """The job is gone."""
        self._cache.forget(lambda key: key == (tenant_id, job_id))


def _began(job: TuningJob) -> float:
    return job.created_at if job.started_at is None else job.started_at


def _table(job: TuningJob, rows: Sequence[TrialOutline]) -> TrialTable:
    return TrialTable(spec=job.spec, rows=rows, began=_began(job))
