"""SteeringMgr: jobs that run are given another budget, and single trials are stopped."""

import dataclasses
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, Field

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict, FieldProblem, InvalidRequest
from tuning_service.domain.job import Budget, JobSpec, TuningJob
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import JobStatus, JobTarget, Role, TrialStatus
from tuning_service.domain.texts import counted, is_storable
from tuning_service.domain.trial import Trial
from tuning_service.manager.job_entries import Part
from tuning_service.manager.space_entries import Real, Whole
from tuning_service.storage.store import Store
from tuning_service.storage.tenant_scope import TenantScope


class BudgetChange(Part):
    """What is left out stays; null is no limit."""

    trials: Whole = Field(1, le=1_000_000, description="How many configurations are tried, those of before included")
    parallel: Whole = Field(1, le=100_000, description="How many run at once; what runs beyond that runs to its end")
    minutes: Real | None = Field(None, description="Of running, that of before included")
    trial_minutes: Real | None = Field(None, description="Of trials that begin from now on")
    failures: Whole = Field(10, le=1_000_000, description="The job gives up after this many failed trials in a row")


class JobChange(Part):
    """A job's name and budget as they shall be; what is left out stays."""

    name: str = Field("", min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$", description="For people")
    budget: BudgetChange = BudgetChange(trials=1, parallel=1, minutes=None, trial_minutes=None, failures=10)

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "digits, longer", "budget": {"trials": 48, "minutes": None}}]}
    )

    def applied(self, spec: JobSpec) -> JobSpec:
        """`spec` with what is given here. Raises InvalidRequest."""
        given = {name: getattr(self.budget, name) for name in self.budget.model_fields_set}
        if "budget" not in self.model_fields_set:
            given = {}
        budget = dataclasses.replace(spec.budget, **given)
        name = self.name if "name" in self.model_fields_set else spec.name
        return dataclasses.replace(spec, name=name, budget=budget)


class SteeringMgr:
    """Changes to what runs. Safe from any thread; controllers notice within a second or so."""

    def __init__(self, store: Store, *, notify: Callable[[str], None], clock: Clock = system_clock) -> None:
        """`notify` is told the id of each job that was changed, after the change is stored."""
        self._store = store
        self._notify = notify
        self._clock = clock

    def change(self, principal: Principal, job_id: str, change: JobChange) -> TuningJob:
        """The job, changed, whether it runs or has ended; one that has ended goes on when it is resumed.

        With fewer trials than it has already, it ends when those that run have.

        Raises:
            Denied, NotFound
            Conflict: the job is being stopped or deleted.
            InvalidRequest: a value is out of its range, or above the tenant's quota.
        """
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            job = scope.job(job_id, lock=True)
            _check_may_change(job)
            spec = change.applied(job.spec)
            _check_name(spec.name)
            _check_parallel(spec.budget, job.spec.budget, principal)
            if changed := _difference(job.spec, spec):
                scope.change_job(job, spec, changed, self._clock())
                job = scope.job(job_id)
        if changed:
            self._notify(job_id)
        return job

    def stop_trial(self, principal: Principal, job_id: str, number: int) -> Trial:
        """The trial, which ends `stopped` within seconds, for good; one that waits does not begin.

        What it measured is kept, and counts as what the algorithm learns of it; it is one of the budget's trials, and
        never the best. Stopping one that is being stopped changes nothing.

        Raises:
            Denied, NotFound
            Conflict: it has ended.
        """
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            scope.job(job_id)
            trial = scope.trial(job_id, number)
            if not scope.request_trial_stop(trial, self._clock()):
                raise Conflict(f"Trial {number} has ended: it is {scope.trial(job_id, number).status}.")
            trial = scope.trial(job_id, number)
        self._notify(job_id)
        return trial


def check_resumable(scope: TenantScope, job: TuningJob) -> None:
    """Return quietly when the job, which has completed, would have something to do. Raises Conflict."""
    budget = job.spec.budget
    if budget.minutes is not None and job.used_s >= 60 * budget.minutes:
        message = f"This job has used its {budget.minutes:g} minutes; raise budget.minutes, then resume it."
        raise Conflict(message)
    counts = scope.trial_counts([job.id])[job.id]
    # Those that the end of its time has stopped are run again.
    shelved = counts.get(TrialStatus.STOPPED, 0) - scope.stopped_for_good(job.id)
    if sum(counts.values()) >= budget.trials and not shelved:
        raise Conflict(f"This job has tried its {budget.trials} trials; raise budget.trials, then resume it.")


def _check_may_change(job: TuningJob) -> None:
    if job.target is JobTarget.DELETED or job.status is JobStatus.DELETING:
        raise Conflict("This job is being deleted.")
    if job.status is JobStatus.STOPPING:
        raise Conflict("This job is being stopped; change it once it is.")


def _check_name(name: str) -> None:
    if not is_storable(name):
        message = "holds a character that cannot be stored."
        raise InvalidRequest(FieldProblem(field="name", message=message, remedy="Remove halves of surrogate pairs."))


def _check_parallel(budget: Budget, before: Budget, principal: Principal) -> None:
    quota = principal.tenant.max_parallel if principal.tenant else 0
    if budget.parallel > max(quota, before.parallel):
        message = f"{budget.parallel} is more than this tenant's quota of {counted(quota, 'trial')} in parallel."
        raise InvalidRequest(FieldProblem(field="budget.parallel", message=message, remedy=f"Use at most {quota}."))


def _difference(before: JobSpec, after: JobSpec) -> dict[str, Any]:
    """What is another, as a request would have it."""
    budget = {
        field.name: getattr(after.budget, field.name)
        for field in dataclasses.fields(Budget)
        if getattr(after.budget, field.name) != getattr(before.budget, field.name)
    }
    changed: dict[str, Any] = {"budget": budget} if budget else {}
    return changed | ({"name": after.name} if after.name != before.name else {})
