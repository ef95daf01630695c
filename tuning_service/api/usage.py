"""/v1/usage: what tenants have used, month by month."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tuning_service.api.deps import UsageHistory, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out
from tuning_service.api.tenant_schemas import TenantDetail
from tuning_service.manager.usage_mgr import MOST_MONTHS, TenantUsed
from tuning_service.storage.usage_months import Used

router = APIRouter(prefix="/v1/usage", tags=["tenants"])


class UsedOut(Out):
    tasks: int = Field(description="Executions that ended", examples=[24])
    cpu_hours: float = Field(description="Of what runs, too", examples=[2.5])
    gpu_hours: float = Field(examples=[0.5])
    cost: float = Field(description="Of the GPU-hours, at the prices of their pools", examples=[1.25])

    @classmethod
    def of(cls, used: Used) -> "UsedOut":
        return cls(tasks=used.tasks, cpu_hours=used.cpu_hours, gpu_hours=used.gpu_hours, cost=used.cost)


class PoolUsedOut(UsedOut):
    pool: str = Field(examples=["default"])


class MonthUsedOut(UsedOut):
    month: str = Field(description="Calendar month, UTC", examples=["2031-04"])
    pools: list[PoolUsedOut] = Field(description="The same by pool, by name; only those that were used")


class TenantUsedOut(Out):
    tenant: TenantDetail = Field(description="With its quotas, and what it uses now")
    months: list[MonthUsedOut] = Field(description="Oldest first; the last one is not over")

    @classmethod
    def of(cls, found: TenantUsed) -> "TenantUsedOut":
        months = [
            MonthUsedOut(
                month=month.month,
                pools=[PoolUsedOut(pool=pool, **UsedOut.of(used).model_dump()) for pool, used in month.pools.items()],
                **UsedOut.of(month.total).model_dump(),
            )
            for month in found.months
        ]
        return cls(tenant=TenantDetail.with_usage(found.tenant, found.now), months=months)


class UsageHistoryOut(Out):
    tenants: list[TenantUsedOut] = Field(description="The own tenant; for operators all by name, or the one asked for")


@router.get("", responses=responses(404, 422))
def get_usage(
    who: Who,
    usage: UsageHistory,
    months: Annotated[int, Query(ge=1, le=MOST_MONTHS, description="The last so many, this one included")] = 12,
    tenant: Annotated[str | None, Query(max_length=63, description="Its name or id; for operators")] = None,
) -> UsageHistoryOut:
    """Get what was used by month and pool, with the present quotas."""
    found = usage.usage(who, months=months, tenant=tenant)
    return UsageHistoryOut(tenants=[TenantUsedOut.of(one) for one in found])
