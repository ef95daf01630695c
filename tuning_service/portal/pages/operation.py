"""Pools with the health of their clusters, and tenants with what they may and do use."""

from tuning_service.domain.errors import Denied
from tuning_service.domain.principal import QUOTAS
from tuning_service.domain.state import Role
from tuning_service.portal.view import Page, View

_CHANGED = ("slots", "cpus_per_slot", "gpus_per_slot", "price")  # of a pool, in its dialog


def pools(view: View) -> Page:
    """The pools that the tenant may use; for an operator all, with controllers, executors left out, and changes."""
    now = view.managers.tuning.now()
    operates = view.principal.role is Role.OPERATOR
    access = view.managers.access
    names = {tenant.id: tenant.name for tenant in access.tenants(view.principal)} if operates else {}
    found = []
    for pool in view.managers.pools.pools(view.principal):
        ids = pool.pool.tenants
        tenants = None if ids is None else sorted(names.get(tenant, tenant) for tenant in ids)
        found.append(
            {
                "view": pool,
                "tenants": tenants,
                "form": {**{name: getattr(pool.pool, name) for name in _CHANGED}, "tenants": tenants},
                "controllers": [(seen, seen.is_alive(now)) for seen in pool.controllers],
            }
        )
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


def access(view: View) -> Page:
    """Users and keys of the own tenant; for an operator the operators', or those of `?tenant=`."""
    view.principal.require(Role.ADMIN)
    tenant = view.query.get("tenant") or None if view.is_operator else None
    names = [t.name for t in view.managers.access.tenants(view.principal)] if view.is_operator else []
    return Page(
        template="access.html",
        title="Access",
        here="access",
        live="poll",
        scripts=("forms.js", "access.js"),
        context={
            "keys": view.managers.access.keys(view.principal, tenant),
            "users": view.managers.users.users(view.principal, tenant),
            "tenant": tenant,
            "tenants": names,
            "now": view.managers.tuning.now(),
            "roles": (Role.OPERATOR,)
            if view.is_operator and tenant is None
            else (Role.VIEWER, Role.MEMBER, Role.ADMIN),
        },
    )


PAGES = (("/pools", pools), ("/tenants", tenants), ("/access", access))
