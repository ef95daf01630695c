"""UsageMgr: what tenants have used, month by month."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import NotFound
from tuning_service.domain.principal import Principal, Tenant, Usage
from tuning_service.domain.state import Role
from tuning_service.storage.store import Store
from tuning_service.storage.usage_months import Used

MOST_MONTHS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthUsed:
    """A calendar month, UTC, with what was used in each pool."""

    month: str  # 2031-04
    pools: Mapping[str, Used]

    @property
    def total(self) -> Used:
        """Over all pools."""
        return sum(self.pools.values(), start=Used())


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantUsed:
    """`now` is what the tenant holds; `months` come oldest first, also those without use."""

    tenant: Tenant
    now: Usage
    months: Sequence[MonthUsed]


class UsageMgr:
    """Safe from any thread."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock

    def usage(self, principal: Principal, *, months: int, tenant: str | None = None) -> Sequence[TenantUsed]:
        """The last `months`, this one included, of the own tenant; for an operator of the named one, or of all by name.

        Raises:
            NotFound: no such tenant, or another one.
        """
        now = self._clock()
        names = _months(now, months)
        own = principal.tenant
        if principal.role is not Role.OPERATOR and (own is None or tenant not in {None, own.id, own.name}):
            raise NotFound(f"There is no tenant {tenant!r}.")
        with self._store.read() as unit:
            if own is not None:
                tenants = [unit.tenancy.tenant(own.id)]
            else:
                tenants = unit.tenancy.tenants() if tenant is None else [unit.tenancy.tenant(tenant)]
            used = unit.usage_months.used([one.id for one in tenants], names[0], now)
            pools: dict[tuple[str, str], dict[str, Used]] = defaultdict(dict)
            for (tenant_id, month, pool), part in sorted(used.items(), key=lambda item: item[0]):
                pools[tenant_id, month][pool] = part
            return [
                TenantUsed(
                    tenant=one,
                    now=unit.quotas.usage(one.id).all(now),
                    months=[MonthUsed(month=name, pools=pools.get((one.id, name), {})) for name in names],
                )
                for one in tenants
            ]


def _months(now: float, count: int) -> list[str]:
    date = datetime.fromtimestamp(now, UTC)
    last = 12 * date.year + date.month - 1
    return [f"{place // 12:04d}-{place % 12 + 1:02d}" for place in range(last - count + 1, last + 1)]
