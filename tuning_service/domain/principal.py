"""Who asks."""

from dataclasses import dataclass

from tuning_service.domain.errors import Denied
from tuning_service.domain.state import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    id: str
    name: str
    max_parallel: int  # trials in parallel over all jobs
    created_at: float


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
class Principal:
    """The holder of a valid key. `tenant` is None for an operator."""

    key_id: str
    role: Role
    tenant: Tenant | None

    def require(self, role: Role) -> None:
        """Return quietly when this principal may do what `role` may.

        Raises:
            Denied: it may not.
        """
        if not self.role.includes(role):
            raise Denied(f"This needs a key with role {role}; yours is {self.role}.")

    @property
    def tenant_id(self) -> str:
        """The tenant whose objects this principal works with.

        Raises:
            Denied: an operator's key belongs to no tenant.
        """
        if self.tenant is None:
            raise Denied("An operator's key works on tenants and keys; use a tenant's key for jobs.")
        return self.tenant.id
