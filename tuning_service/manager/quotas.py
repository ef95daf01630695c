"""Quotas that requests run into: of jobs, of storage, of requests. Those of trials and GPUs are the controllers'."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tuning_service.domain.errors import OverQuota, TooManyRequests
from tuning_service.domain.job import JobSpec
from tuning_service.domain.principal import Tenant
from tuning_service.storage.tenant_scope import TenantScope
from tuning_service.storage.usage import UsageRows

_FORGET_S = 60.0


def check_jobs(scope: TenantScope, tenant: Tenant) -> None:
    """Return quietly when the tenant, locked, may have one more job in the same transaction. Raises OverQuota."""
    if tenant.max_jobs is not None and (jobs := scope.usage.jobs()) >= tenant.max_jobs:
        raise OverQuota(
            f"{jobs} of this tenant's jobs have not ended, and its quota is {tenant.max_jobs}. Stop or delete one, wait"
            " for one to end, or ask the operator for more."
        )


def check_storage(scope: TenantScope, tenant: Tenant, more: int = 0) -> None:
    """Return quietly when the tenant, locked, may store `more` bytes in this transaction. Raises OverQuota."""
    check_stored(scope.usage, tenant, more)


def check_stored(usage: UsageRows, tenant: Tenant, more: int = 0) -> None:
    """The same, of the tenant that `usage` is of."""
    if tenant.max_storage_bytes is None:
        return
    used = usage.storage_bytes()
    if used + more > tenant.max_storage_bytes or (not more and used >= tenant.max_storage_bytes):
        raise OverQuota(
            f"This tenant stores {used} bytes of programs, plug-ins, logs and artifacts, this would add {more}, and its"
            f" quota is {tenant.max_storage_bytes}. Delete jobs or programs, or ask the operator for more."
        )


def too_many_gpus(tenant: Tenant, spec: JobSpec) -> bool:
    """True when one trial of the job wants more GPUs than the tenant may ever have."""
    return tenant.max_gpus is not None and spec.resources.gpus > tenant.max_gpus


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RequestLimiter:
    """A token bucket for each tenant, in this process: a second's worth may come at once. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}
        self._swept_at = clock()

    def check(self, tenant: Tenant) -> None:
        """Count one request. Raises TooManyRequests, with the time after which the next is welcome."""
        rate = tenant.max_requests_per_s
        if rate is None:
            return
        most = max(1.0, rate)
        with self._lock:
            now = self._clock()
            self._sweep(now)
            bucket = self._buckets.setdefault(tenant.id, _Bucket(tokens=most, filled_at=now))
            bucket.tokens = min(most, bucket.tokens + (now - bucket.filled_at) * rate)
            bucket.filled_at = now
            if bucket.tokens < 1:
                message = f"This tenant's quota is {rate:g} requests a second."
                raise TooManyRequests(message, retry_after_s=(1 - bucket.tokens) / rate)
            bucket.tokens -= 1

    def _sweep(self, now: float) -> None:
        """Forget tenants that have not been here for long: their buckets are full."""
        if now - self._swept_at < _FORGET_S:
            return
        self._swept_at = now
        idle = [key for key, bucket in self._buckets.items() if now - bucket.filled_at >= _FORGET_S]
        for key in idle:
            del self._buckets[key]
