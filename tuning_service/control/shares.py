"""Who gets the free slots: pure arithmetic over what each job uses and wants."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuning_service.compute.base import Capacity
from tuning_service.domain.job import Resources

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a job uses and would like. `running` and `wanted` count tasks of size `resources`."""

    tenant_id: str
    resources: Resources
    running: int
    wanted: int  # further tasks, beside those that run
    tenant_limit: int  # tasks of the whole tenant that may run at once


def grant(job_id: str, demands: Mapping[str, Demand], capacity: Capacity) -> tuple[int, str]:
    """How many further tasks the job may launch now, and why it gets none when it gets none.

    Every job has a size in shares of the whole pool. The pool is divided among tenants, then among a tenant's jobs, so
    that nobody gets more than wanted and what one leaves the others get (max-min fairness). A job beyond its share
    keeps what it runs and is not refilled, so those that wait get the slots that come free.
    """
    mine = demands[job_id]
    slots = capacity.slots(mine.resources)
    if not slots:
        size = f"{mine.resources.cpus} CPUs and {mine.resources.gpus:g} GPUs"
        return 0, f"Waits: no executor has {size} for a trial." if capacity.cpus else "Waits for executors."
    cost = {
        key: 1 / capacity.slots(demand.resources) for key, demand in demands.items() if capacity.slots(demand.resources)
    }
    used = {key: demands[key].running * each for key, each in cost.items()}
    free = 1 - sum(used.values())
    of_tenant = sum(d.running for d in demands.values() if d.tenant_id == mine.tenant_id)
    quota = max(0, mine.tenant_limit - of_tenant)
    share = _shares(demands, cost)[job_id]
    count = min(
        mine.wanted,
        quota,
        int(free / cost[job_id] + _EPSILON),
        # Whoever has nothing may have one slot, however small the share.
        max(int((share - used[job_id]) / cost[job_id] + _EPSILON), 0 if mine.running else 1),
    )
    if count > 0 or not mine.wanted:
        return max(0, count), ""
    return 0, "Waits: the tenant's quota is in use." if not quota else "Waits for free slots."


def _shares(demands: Mapping[str, Demand], cost: Mapping[str, float]) -> dict[str, float]:
    wants = {key: (demands[key].running + demands[key].wanted) * each for key, each in cost.items()}
    tenants: dict[str, dict[str, float]] = {}
    for key, want in wants.items():
        tenants.setdefault(demands[key].tenant_id, {})[key] = want
    by_tenant = _max_min({tenant: sum(jobs.values()) for tenant, jobs in tenants.items()}, 1.0)
    shares: dict[str, float] = {}
    for tenant, jobs in tenants.items():
        shares |= _max_min(jobs, by_tenant[tenant])
    return shares


def _max_min(wants: Mapping[str, float], total: float) -> dict[str, float]:
    """Divide `total` so that no one gets more than wanted and the smallest get are as large as can be."""
    given: dict[str, float] = {}
    for position, (key, want) in enumerate(sorted(wants.items(), key=lambda item: item[1])):
        given[key] = min(want, total / (len(wants) - position))
        total -= given[key]
    return given
