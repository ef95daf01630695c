"""How a job stands with its tenant and its pool: quotas, hours, price, and what it is told while it waits."""

import dataclasses
import time
from collections.abc import Callable

from tuning_service.control.shares import FOR_SLOTS
from tuning_service.domain.job import TuningJob
from tuning_service.domain.principal import Tenant
from tuning_service.domain.state import JobStatus
from tuning_service.storage.control import Lease
from tuning_service.storage.store import Unit

_TENANT_S = 5.0
_TOLD_S = 5.0


class StaleError(Exception):
    """What was decided upon has changed meanwhile: look again."""


class QuotaRaceError(StaleError):
    """Another controller was faster to use what the tenant's quota had left: look again, but not at once."""


class Standing:
    """Of one job; read anew every few seconds. Used by one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.used_up = ""  # why the tenant launches nothing now
        self.price = 0.0  # of the pool's GPUs
        self._clock = clock
        self._tenant: Tenant | None = None
        self._read_at = 0.0
        self._told_at = 0.0  # when the job was last told its place among those that wait

    def look(self, unit: Unit, job: TuningJob) -> Tenant:
        """The job's tenant; changed quotas and prices, and hours that are used up, are noticed after some seconds."""
        now = time.monotonic()
        if self._tenant is None or now - self._read_at >= _TENANT_S:
            self._tenant, self._read_at = unit.control.tenant(job.tenant_id), now
            pool = unit.pools.find(job.spec.pool)
            self.price = pool.price if pool else 0.0
            if pool is not None and not pool.admits(job.tenant_id):
                self.used_up = f"the pool {pool.name!r} is not open to this tenant any more; ask the operator."
            else:
                self.used_up = self._hours_used_up(unit, job, self._tenant)
        return self._tenant

    def _hours_used_up(self, unit: Unit, job: TuningJob, tenant: Tenant) -> str:
        """What a job that wants GPUs is told when its tenant has no hours left; what runs goes on."""
        if tenant.max_gpu_hours is None or not job.spec.resources.gpus:
            return ""
        if unit.quotas.usage(tenant.id).month(self._clock()).gpu_hours < tenant.max_gpu_hours:
            return ""
        return f"the tenant has used its {tenant.max_gpu_hours:g} GPU-hours of this month."

    def steady(self, waiting: str, job: TuningJob) -> str:
        """`waiting`, or what the job says already when only its place has changed, and that is told anew too soon."""
        now = time.monotonic()
        same = waiting.startswith(FOR_SLOTS) and job.reason.startswith(FOR_SLOTS)
        if same and now - self._told_at < _TOLD_S:
            return job.reason
        self._told_at = now
        return waiting


def say(unit: Unit, lease: Lease, reason: str, now: float) -> None:
    """Have a job give this as its reason, unless it gives that of its coming end. Raises LeaseLost."""
    unit.control.fence(lease)
    job = unit.control.job(lease.job_id)
    if job is not None and job.status in {JobStatus.CREATED, JobStatus.RUNNING, JobStatus.DELETING}:
        unit.control.set_job(dataclasses.replace(job, reason=reason), now)


def check_quota(unit: Unit, job: TuningJob) -> None:
    """Return quietly when the tenant may have the tasks that this transaction has stored.

    For what a controller knew of others' tasks when it decided was up to a second old.

    Raises:
        QuotaRaceError: another controller was faster.
    """
    tenant = unit.quotas.lock(job.tenant_id)
    tasks, gpus = unit.quotas.usage(tenant.id).running()
    beyond_gpus = tenant.max_gpus is not None and job.spec.resources.gpus and gpus > tenant.max_gpus + 1e-9
    if tasks > tenant.max_parallel or beyond_gpus:
        raise QuotaRaceError
