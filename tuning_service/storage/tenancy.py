"""Tenants, keys and the deployment's secrets: rows that belong to no tenant's scope."""

import secrets as random_source
from dataclasses import asdict

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuning_service.domain.errors import Conflict, NotFound
from tuning_service.domain.principal import QUOTAS, ApiKey, Tenant
from tuning_service.storage.rows import key_from, tenant_from
from tuning_service.storage.tables import api_keys, secrets, tenants


class TenancyRows:
    """Used by the manager floor for operators, and to find out who a key belongs to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_tenant(self, tenant: Tenant) -> None:
        """Raises Conflict when the name is taken."""
        try:
            self._connection.execute(insert(tenants).values(**asdict(tenant)))
        except IntegrityError as error:
            raise Conflict(f"There is a tenant {tenant.name!r} already.") from error

    def tenant(self, id_or_name: str) -> Tenant:
        """Raises NotFound."""
        row = self._connection.execute(
            select(tenants)
            .where((tenants.c.id == id_or_name) | (tenants.c.name == id_or_name))
            # An id goes before a name that was made to look like it.
            .order_by((tenants.c.id == id_or_name).desc())
        ).first()
        if row is None:
            raise NotFound(f"There is no tenant {id_or_name!r}.")
        return tenant_from(row)

    def set_quotas(self, tenant: Tenant) -> None:
        """Store the tenant's weight and limits."""
        values = {name: getattr(tenant, name) for name in QUOTAS}
        self._connection.execute(update(tenants).where(tenants.c.id == tenant.id).values(values))

    def tenants(self) -> list[Tenant]:
        """All, by name."""
        return [tenant_from(row) for row in self._connection.execute(select(tenants).order_by(tenants.c.name))]

    def add_key(self, key: ApiKey, secret_hash: str) -> None:
        """Store the key; its secret itself never gets here."""
        values = asdict(key) | {"role": str(key.role), "secret_hash": secret_hash}
        self._connection.execute(insert(api_keys).values(**values))

    def key(self, key_id: str) -> tuple[ApiKey, str] | None:
        """The key and its secret's hash, or None."""
        row = self._connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        return None if row is None else (key_from(row), row.secret_hash)

    def keys(self, tenant_id: str | None) -> list[ApiKey]:
        """One tenant's keys, oldest first; None: the operators'."""
        rows = self._connection.execute(
            select(api_keys).where(api_keys.c.tenant_id.is_not_distinct_from(tenant_id)).order_by(api_keys.c.id)
        )
        return [key_from(row) for row in rows]

    def revoke_key(self, key_id: str, now: float) -> None:
        """From now on the key is refused; a second call changes nothing."""
        self._connection.execute(
            update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
        )

    def secret(self, name: str) -> bytes:
        """The deployment's secret of that name: 32 random bytes, made by whoever asks first."""
        query = select(secrets.c.value).where(secrets.c.name == name)
        value: bytes | None = self._connection.execute(query).scalar()
        if value is not None:
            return value
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(secrets).values(name=name, value=random_source.token_bytes(32)))
        except IntegrityError:
            pass  # another process was faster; its value is the one
        made: bytes = self._connection.execute(query).scalar_one()
        return made
