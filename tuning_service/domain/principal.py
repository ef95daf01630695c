"""Who asks."""

import math
from dataclasses import dataclass

from tuning_service.domain.errors import Denied, FieldProblem
from tuning_service.domain.state import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Who shares the cluster, with a weight in the sharing and limits to what it may use; None is no limit."""

    id: str
    name: str
    created_at: float
    weight: float = 1.0  # its part of contended slots, beside those of others
    max_parallel: int  # trials at once over all jobs
    max_gpus: float | None = None  # GPUs at once over all jobs
    max_gpu_hours: float | None = None  # in a calendar month, UTC
    max_jobs: int | None = None  # that have not ended
    max_storage_bytes: int | None = None  # programs, plug-ins, logs and artifacts
    max_requests_per_s: float | None = None


# The fields of a tenant that an operator may change.
QUOTAS = ("weight", "max_parallel", "max_gpus", "max_gpu_hours", "max_jobs", "max_storage_bytes", "max_requests_per_s")


# Weights so far apart that the lighter one's part is nothing would be a way of shutting tenants out.
_LEAST = {"weight": 0.001, "max_parallel": 1, "max_requests_per_s": 0.001}
_MOST = {"weight": 1000.0}


def quota_problems(tenant: Tenant) -> list[FieldProblem]:
    """What is wrong with a tenant's weight and limits."""
    problems = []
    for name in QUOTAS:
        value, least, most = getattr(tenant, name), _LEAST.get(name, 0.0), _MOST.get(name, math.inf)
        if value is None or (math.isfinite(value) and least <= value <= most):
            continue
        message = f"must be at least {least:g}, not {value:g}."
        remedy = "Raise it." if name in {"weight", "max_parallel"} else "Raise it, or use null for no limit."
        if value > most:
            message, remedy = f"must be at most {most:g}, not {value:g}.", "Lower it."
        problems.append(FieldProblem(field=name, message=message, remedy=remedy))
    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tenant uses now, and has used in the month that `now` is in."""

    parallel: int = 0
    gpus: float = 0.0
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    cost: float = 0.0  # of the GPU-hours, at the prices of their pools
    tasks: int = 0  # executions that ended in this month
    jobs: int = 0
    storage_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A stored key. The secret itself is shown once and kept as a hash only."""

    id: str
    tenant_id: str | None  # None: an operator's
    name: str
    role: Role
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who signs in with a password, of which only a hash is kept."""

    id: str
    tenant_id: str | None  # None: an operator
    name: str  # unique within the tenant
    role: Role
    created_at: float
    disabled_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A sign-in, by a key or by a user. The token itself is kept as a hash only, which is the id."""

    id: str
    key_id: str | None
    user_id: str | None
    created_at: float
    seen_at: float
    ends_at: float  # however much it is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The holder of a valid key, or a user who is signed in. `tenant` is None for an operator."""

    key_id: str  # a user's own id stands here too: it says who owns what this principal makes
    role: Role
    tenant: Tenant | None
    name: str = ""  # of the key or the user
    user_id: str | None = None  # None: the holder of a key

    def require(self, role: Role) -> None:
        """Return quietly when this principal may do what `role` may.

        Raises:
            Denied: it may not.
        """
        if not self.role.includes(role):
            raise Denied(f"This needs the role {role}; yours is {self.role}.")

    @property
    def tenant_id(self) -> str:
        """The tenant whose objects this principal works with.

        Raises:
            Denied: an operator belongs to no tenant.
        """
        if self.tenant is None:
            raise Denied("An operator works on tenants and keys; use a tenant's key or user for jobs.")
        return self.tenant.id
