"""Who may come in: tenants and their API keys."""

import dataclasses
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Any

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict, Denied, FieldProblem, InvalidRequest, NotFound, Unauthenticated
from tuning_service.domain.ids import new_id
from tuning_service.domain.principal import ApiKey, Principal, Tenant, Usage, quota_problems
from tuning_service.domain.state import Role
from tuning_service.storage.store import Store, Unit

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def key_holder(unit: Unit, key: ApiKey, now: float) -> Principal:
    """Whoever holds this key. Raises Unauthenticated when it was revoked or has expired."""
    if key.revoked_at is not None:
        raise Unauthenticated("This API key was revoked.")
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthenticated("This API key has expired.")
    tenant = None if key.tenant_id is None else unit.tenancy.tenant(key.tenant_id)
    return Principal(key_id=key.id, role=key.role, tenant=tenant, name=key.name)


class AccessMgr:
    """Tenants, keys, and who a request comes from."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock

    def authenticate(self, presented: str) -> Principal:
        """Who holds this key.

        Raises:
            Unauthenticated: it is none of ours, was revoked, or has expired. The message does not say of whom.
        """
        unknown = Unauthenticated("This API key is not known.")
        if not presented.isascii() or not presented.isprintable():
            raise unknown  # which no database has to be asked for, and some would refuse to look for
        key_id, _, secret = presented.removeprefix("tsk_").partition(".")
        with self._store.read() as unit:
            found = unit.tenancy.key(key_id)
            if found is None or not hmac.compare_digest(found[1], _hash(secret)):
                raise unknown
            return key_holder(unit, found[0], self._clock())

    def create_operator_key(self, name: str) -> tuple[ApiKey, str]:
        """A key for whoever runs the deployment. For the command line on the machine itself, not for REST."""
        return self._add_key(None, name, Role.OPERATOR, None)

    def revoke_operator_keys(self, name: str) -> None:
        """All operators' keys of that name are refused from now on. For the process itself, not for REST."""
        with self._store.write() as unit:
            for key in unit.tenancy.keys(None):
                if key.name == name:
                    unit.tenancy.revoke_key(key.id, self._clock())

    def create_tenant(self, principal: Principal, name: str, **quotas: Any) -> Tenant:
        """A new tenant, without keys; `quotas` are fields of `Tenant`, those of `QUOTAS`.

        Raises:
            Denied: the principal is no operator.
            Conflict: the name is taken.
        """
        principal.require(Role.OPERATOR)
        check_name("name", name)
        tenant = _checked(Tenant(id=new_id("ten"), name=name, created_at=self._clock(), **quotas))
        with self._store.write() as unit:
            unit.tenancy.add_tenant(tenant)
        return tenant

    def change_tenant(self, principal: Principal, tenant: str, **quotas: Any) -> Tenant:
        """The tenant (id or name) with other quotas, which controllers and managers notice within seconds.

        What runs beyond a lowered quota runs to its end.

        Raises:
            Denied, NotFound, InvalidRequest
        """
        visible(principal, tenant)
        principal.require(Role.OPERATOR)
        with self._store.write() as unit:
            locked = unit.quotas.lock(unit.tenancy.tenant(tenant).id)  # two operators may change it at once
            changed = _checked(dataclasses.replace(locked, **quotas))
            unit.tenancy.set_quotas(changed)
        return changed

    def tenant(self, principal: Principal, tenant: str | None = None) -> tuple[Tenant, Usage]:
        """A tenant, the own one when none is named, and what it uses. Raises Denied, NotFound."""
        tenant = visible(principal, tenant)
        if tenant is None:
            raise Denied("An operator belongs to no tenant; name one.")
        with self._store.read() as unit:
            found = unit.tenancy.tenant(tenant)
            return found, unit.quotas.usage(found.id).all(self._clock())

    def tenants(self, principal: Principal) -> Sequence[Tenant]:
        """All, by name. Raises Denied unless an operator asks."""
        principal.require(Role.OPERATOR)
        with self._store.read() as unit:
            return unit.tenancy.tenants()

    def create_key(
        self,
        principal: Principal,
        *,
        name: str,
        role: Role,
        tenant: str | None = None,
        expires_at: float | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown here and never again.

        `tenant` (id or name) is for operators; a tenant's admin makes keys of the own tenant.

        Raises:
            Denied, NotFound, InvalidRequest
        """
        tenant_id = administered(self._store, principal, tenant)
        check_name("name", name)
        if (tenant_id is None) != (role is Role.OPERATOR):
            message = "An operator's key belongs to no tenant, and every other key to one."
            raise InvalidRequest(FieldProblem(field="role", message=message, remedy="Name a tenant or another role."))
        if not principal.role.includes(role):
            raise Denied(f"A key with role {principal.role} cannot make one with role {role}.")
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidRequest(
                FieldProblem(field="expires_at", message="lies in the past.", remedy="Choose a later time.")
            )
        return self._add_key(tenant_id, name, role, expires_at)

    def keys(self, principal: Principal, tenant: str | None = None) -> Sequence[ApiKey]:
        """A tenant's keys, oldest first; without a tenant, an operator sees the operators'."""
        tenant_id = administered(self._store, principal, tenant)
        with self._store.read() as unit:
            return unit.tenancy.keys(tenant_id)

    def revoke_key(self, principal: Principal, key_id: str) -> ApiKey:
        """The key is refused from now on.

        Raises:
            NotFound: no such key, or another tenant's.
            Conflict: it is the very key that asks.
        """
        principal.require(Role.ADMIN)
        with self._store.write() as unit:
            found = unit.tenancy.key(key_id)
            foreign = principal.role is not Role.OPERATOR and found and found[0].tenant_id != principal.tenant_id
            if found is None or foreign:
                raise NotFound(f"There is no key {key_id!r}.")
            if key_id == principal.key_id:
                raise Conflict("A key cannot revoke itself; use another one.")
            unit.tenancy.revoke_key(key_id, self._clock())
            revoked = unit.tenancy.key(key_id)
        assert revoked is not None
        return revoked[0]

    def _add_key(self, tenant_id: str | None, name: str, role: Role, expires_at: float | None) -> tuple[ApiKey, str]:
        key = ApiKey(
            id=new_id("key"),
            tenant_id=tenant_id,
            name=name,
            role=role,
            created_at=self._clock(),
            expires_at=expires_at,
        )
        secret = secrets.token_urlsafe(32)
        with self._store.write() as unit:
            unit.tenancy.add_key(key, _hash(secret))
        return key, f"tsk_{key.id}.{secret}"


def _hash(secret: str) -> str:
    # A fast hash is right here: the secret is 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def visible(principal: Principal, tenant: str | None) -> str | None:
    """The tenant that is meant, of those that the principal may know of: the own one's id, or as asked for."""
    if principal.role is Role.OPERATOR:
        return tenant
    own = principal.tenant
    if own is None or tenant not in {None, own.id, own.name}:
        raise NotFound(f"There is no tenant {tenant!r}.")
    return own.id


def administered(store: Store, principal: Principal, tenant: str | None) -> str | None:
    """Id of the tenant whose keys and users the principal works on: the own one, or for operators the one named.

    None: the operators' own. Raises Denied, NotFound.
    """
    principal.require(Role.ADMIN)
    tenant = visible(principal, tenant)
    if tenant is None:
        return None
    with store.read() as unit:
        return unit.tenancy.tenant(tenant).id


def _checked(tenant: Tenant) -> Tenant:
    problems = quota_problems(tenant)
    if problems:
        raise InvalidRequest(*problems)
    return tenant


def check_name(field: str, name: str) -> None:
    """Return quietly when a tenant, key or user may be called so. Raises InvalidRequest."""
    if not NAME.fullmatch(name):
        message = f"{name!r} cannot be a name."
        remedy = "Use up to 63 lower-case letters, digits, dots, dashes and underscores."
        raise InvalidRequest(FieldProblem(field=field, message=message, remedy=remedy))
