"""What was used, month by month, beside what may be used."""

from tuning_service.manager.usage_mgr import MonthUsed, TenantUsed
from tuning_service.portal.view import Page, View

_MONTHS = 12


def usage(view: View) -> Page:
    """The own tenant's; for an operator all tenants', or that of `?tenant=`."""
    tenant = view.query.get("tenant") or None if view.is_operator else None
    found = view.managers.usage.usage(view.principal, months=_MONTHS, tenant=tenant)
    return Page(
        template="usage.html",
        title="Usage",
        here="usage",
        live="poll",
        context={
            "found": [
                {"used": one, "months": _since_first(one), "meters": _meters(one), "most": _most(one)} for one in found
            ]
        },
    )


def _since_first(one: TenantUsed) -> list[MonthUsed]:
    """Newest first, back to the first month with any use; this month always."""
    months = list(one.months)
    while len(months) > 1 and not months[0].pools:
        months.pop(0)
    return months[::-1]


def _meters(one: TenantUsed) -> list[dict[str, object]]:
    tenant, now = one.tenant, one.now
    return [
        {"name": "Trials at once", "now": now.parallel, "limit": tenant.max_parallel, "kind": "number"},
        {"name": "GPUs at once", "now": now.gpus, "limit": tenant.max_gpus, "kind": "number"},
        {"name": "GPU-hours this month", "now": now.gpu_hours, "limit": tenant.max_gpu_hours, "kind": "number"},
        {"name": "Open jobs", "now": now.jobs, "limit": tenant.max_jobs, "kind": "number"},
        {"name": "Storage", "now": now.storage_bytes, "limit": tenant.max_storage_bytes, "kind": "size"},
    ]


def _most(one: TenantUsed) -> dict[str, float]:
    months = one.months
    names = ("gpu_hours", "cpu_hours", "cost")
    return {name: max((getattr(month.total, name) for month in months), default=0.0) for name in names}


PAGES = (("/usage", usage),)
