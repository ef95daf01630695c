"""What trials have measured that have not ended."""

import dataclasses
from collections.abc import Iterable

from tuning_service.domain.job import JobSpec
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import Trial
from tuning_service.storage.tenant_scope import TenantScope


def with_last_values(scope: TenantScope, spec: JobSpec, trials: Iterable[Trial]) -> list[Trial]:
    """The trials of one job. Of those that run, `metrics` is what they have measured last, so far."""
    listed = list(trials)
    running = [trial.id for trial in listed if trial.status is TrialStatus.RUNNING]
    if not running:
        return listed
    found = scope.last_values.of_trials(running, spec.metrics)
    return [
        dataclasses.replace(trial, metrics=found.get(trial.id, {})) if trial.status is TrialStatus.RUNNING else trial
        for trial in listed
    ]
