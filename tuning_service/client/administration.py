"""The client's calls about keys, tenants and pools."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tuning_service.client.calls import Calls, JsonDict, given, segment


class AdministrationCalls(Calls):
    """Part of `TuningClient`."""

    def create_key(
        self, *, name: str, role: str, tenant: str | None = None, expires_in_days: float | None = None
    ) -> JsonDict:
        """A new key with its "secret", which is shown here and never again."""
        wish = given({"name": name, "role": role, "tenant": tenant})
        if expires_in_days is not None:
            wish["expires_at"] = (datetime.now(UTC) + timedelta(days=expires_in_days)).isoformat()
        return self._dict("POST", "/v1/keys", json=wish)

    def keys(self, tenant: str | None = None) -> list[JsonDict]:
        """The own tenant's keys; `tenant` (id or name) is for operators."""
        return list(self._pages("/v1/keys", {"tenant": tenant}))

    def revoke_key(self, key_id: str) -> JsonDict:
        """Make the service refuse a key from now on."""
        return self._dict("DELETE", f"/v1/keys/{segment(key_id)}")

    def whoami(self) -> JsonDict:
        """Whom the service takes the holder of this key for: "principal" with name, role and tenant."""
        return self._dict("GET", "/v1/session")

    def create_user(self, name: str, password: str, *, role: str = "member", tenant: str | None = None) -> JsonDict:
        """A new user, who signs in to the portal; `tenant` (id or name) is for operators."""
        wish = {"name": name, "password": password, "role": role}
        return self._dict("POST", "/v1/users", json=wish | given({"tenant": tenant}))

    def users(self, tenant: str | None = None) -> list[JsonDict]:
        """The own tenant's users, by name; `tenant` (id or name) is for operators."""
        return list(self._pages("/v1/users", {"tenant": tenant}))

    def change_user(
        self, user_id: str, *, role: str | None = None, password: str | None = None, disabled: bool | None = None
    ) -> JsonDict:
        """Change what is given. Another password, and being disabled, sign the user out everywhere."""
        change = {"role": role, "password": password, "disabled": disabled}
        return self._dict("PATCH", f"/v1/users/{segment(user_id)}", json=given(change))

    def delete_user(self, user_id: str) -> None:
        """Delete a user, who is signed out everywhere; jobs stay."""
        self._transport.send("DELETE", f"/v1/users/{segment(user_id)}")

    def create_tenant(self, name: str, max_parallel: int = 4, **quotas: float | None) -> JsonDict:
        """A new tenant, which runs up to `max_parallel` trials at once. For operators.

        `quotas`: weight, max_gpus, max_gpu_hours, max_jobs, max_storage_bytes, max_requests_per_s.
        """
        return self._dict("POST", "/v1/tenants", json={"name": name, "max_parallel": max_parallel, **quotas})

    def change_tenant(self, tenant: str, **quotas: float | None) -> JsonDict:
        """Change a tenant's (id or name) `max_parallel` or other quotas; None is no limit. For operators."""
        return self._dict("PATCH", f"/v1/tenants/{segment(tenant)}", json=quotas)

    def tenant(self, tenant: str | None = None) -> JsonDict:
        """The own tenant with its quotas and its `usage`; `tenant` (id or name) is for operators."""
        return self._dict("GET", "/v1/tenant" if tenant is None else f"/v1/tenants/{segment(tenant)}")

    def usage(self, months: int = 12, tenant: str | None = None) -> list[JsonDict]:
        """What was used in each of the last months, by pool: of the own tenant, for operators of all or of `tenant`."""
        return list(self._dict("GET", "/v1/usage", params=given({"months": months, "tenant": tenant}))["tenants"])

    def pools(self) -> list[JsonDict]:
        """The compute pools that jobs may name; operators see all, with their controllers."""
        return list(self._pages("/v1/pools", {}))

    def pool(self, name: str) -> JsonDict:
        """One compute pool."""
        return self._dict("GET", f"/v1/pools/{segment(name)}")

    def create_pool(self, name: str, master: str, **described: Any) -> JsonDict:
        """A new pool. For operators.

        `described`: conf, slots, cpus_per_slot, gpus_per_slot, price, tenants, drained.
        """
        return self._dict("POST", "/v1/pools", json={"name": name, "master": master, **described})

    def change_pool(self, name: str, **described: Any) -> JsonDict:
        """Change or drain a pool. For operators."""
        return self._dict("PATCH", f"/v1/pools/{segment(name)}", json=described)

    def delete_pool(self, name: str) -> None:
        """Forget a pool in which no unfinished job is and that no controller serves. For operators."""
        self._transport.send("DELETE", f"/v1/pools/{segment(name)}")

    def cordon(self, pool: str, host: str, reason: str = "", minutes: float | None = None) -> JsonDict:
        """Give an executor no trials, for so long or until `uncordon`; what runs there goes on. For operators."""
        wish = {"reason": reason, "minutes": minutes}
        return self._dict("PUT", f"/v1/pools/{segment(pool)}/cordons/{segment(host)}", json=wish)

    def uncordon(self, pool: str, host: str) -> None:
        """Give an executor trials again. For operators."""
        self._transport.send("DELETE", f"/v1/pools/{segment(pool)}/cordons/{segment(host)}")

    def tenants(self) -> list[JsonDict]:
        """All tenants. For operators."""
        return list(self._pages("/v1/tenants", {}))
