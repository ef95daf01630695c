"""Pools with the health of their clusters, and tenants with what they may and do use."""

from dataclasses import asdict

from tuning_service.domain.errors import Denied
from tuning_service.domain.principal import QUOTAS
from tuning_service.domain.state import Role
from tuning_service.portal.view import Page, View

_CHANGED = ("slots", "cpus_per_slot", "gpus_per_slot", "price", "tenants")  # of a pool, in its dialog


def pools(view: View) -> Page:
    """The pools that the tenant may use; for an operator all, with controllers, executors left out, and changes."""
    now = view.managers.tuning.now()
    found = [
        {
            "view": pool,
            "form": {
                name: getattr(pool.pool, name)
                for name in ("slots", "cpus_per_slot", "gpus_per_slot", "price", "tenants")
            },
            "controllers": [(seen, seen.is_alive(now)) for seen in pool.controllers],
        }
        for pool in view.managers.pools.pools(view.principal)
    ]
    operates = view.principal.role is Role.OPERATOR
    return Page(
        template="pools.html",
        title="Pools",
        here="pools",
        live="poll",
        scripts=("forms.js",),
        context={"pools": found, "operates": operates, "now": now},
    )


def tenants(view: View) -> Page:
    """All tenants, with quotas and use."""
    access = view.managers.access
    if not view.is_operator:
        raise Denied("Tenants are for operators of the service. Your own is under Usage.")
    found = [
        {"tenant": tenant, "usage": usage, "form": {name: getattr(tenant, name) for name in QUOTAS}}
        for tenant, usage in (access.tenant(view.principal, tenant.id) for tenant in access.tenants(view.principal))
    ]
    return Page(
        template="tenants.html",
        title="Tenants",
        here="tenants",
        live="poll",
        scripts=("forms.js",),
        context={"tenants": found},
    )


def keys(view: View) -> Page:
    """The keys of the own tenant; for an operator the operators', or those of `?tenant=`."""
    view.principal.require(Role.ADMIN)
    tenant = view.query.get("tenant") or None if view.is_operator else None
    found = view.managers.access.keys(view.principal, tenant)
    names = [t.name for t in view.managers.access.tenants(view.principal)] if view.is_operator else []
    return Page(
        template="access.html",
        title="Access",
        here="access",
        scripts=("forms.js", "access.js"),
        context={
            "keys": [(key, asdict(key)) for key in found],
            "tenant": tenant,
            "tenants": names,
            "now": view.managers.tuning.now(),
            "roles": (Role.OPERATOR,)
            if view.is_operator and tenant is None
            else (Role.VIEWER, Role.MEMBER, Role.ADMIN),
        },
    )


PAGES = (("/pools", pools), ("/tenants", tenants), ("/access", keys))
