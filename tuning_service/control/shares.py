"""Who gets the free slots: pure arithmetic over what each job uses and wants."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

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
    launched_at: float = 0.0  # when it last launched a task, on any clock that all demands share


def grant(job_id: str, demands: Mapping[str, Demand], capacity: Capacity) -> tuple[int, str]:
    """How many further tasks the job may launch now, and why it gets none when it gets none.

    Free slots are dealt out one by one: to the tenant that uses least of the pool, there to the job that uses least,
    and among equals to the one that has waited longest. So what one does not want the others get, no slot stays
    free that somebody could use, and nobody starves: a job beyond its share is not refilled while others wait.
    """
    mine = demands[job_id]
    slots = capacity.slots(mine.resources)
    if not slots:
        size = f"{mine.resources.cpus} CPUs and {mine.resources.gpus:g} GPUs"
        return 0, f"Waits: no executor has {size} for a trial." if capacity.cpus else "Waits for executors."
    count = _deal(demands, capacity).get(job_id, 0)
    if count or not mine.wanted:
        return count, ""
    quota_used = sum(d.running for d in demands.values() if d.tenant_id == mine.tenant_id) >= mine.tenant_limit
    return 0, "Waits: the tenant's quota is in use." if quota_used else "Waits for free slots."


def _deal(demands: Mapping[str, Demand], capacity: Capacity) -> dict[str, int]:
    """How many tasks each job gets when all that is free is dealt out."""
    # A task's cost is its part of the whole pool; what can never run neither counts nor waits in anybody's way.
    cost = {key: 1 / slots for key, demand in demands.items() if (slots := capacity.slots(demand.resources))}
    running: defaultdict[str, int] = defaultdict(int)
    used: defaultdict[str, float] = defaultdict(float)  # by tenant, in parts of the pool
    for key, each in cost.items():
        running[demands[key].tenant_id] += demands[key].running
        used[demands[key].tenant_id] += demands[key].running * each
    free = 1 - sum(used.values())
    dealt = dict.fromkeys(cost, 0)

    def rank(key: str) -> tuple[float, float, str]:
        # Rounded, so that sums of the same parts in another order are equal.
        return round((demands[key].running + dealt[key]) * cost[key], 9), demands[key].launched_at, key

    hungry: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)  # a heap of jobs for each tenant
    for key in cost:
        if demands[key].wanted:
            heappush(hungry[demands[key].tenant_id], rank(key))
    tenants = [(round(used[tenant], 9), jobs[0], tenant) for tenant, jobs in hungry.items()]
    heapify(tenants)
    while tenants:
        _, (_, _, key), tenant = heappop(tenants)
        if running[tenant] >= demands[key].tenant_limit:
            continue
        if cost[key] > free + _EPSILON:
            # Not handed on to smaller ones: they would take each slot as it comes free, and this one would starve.
            break
        free -= cost[key]
        dealt[key] += 1
        running[tenant] += 1
        used[tenant] += cost[key]
        heappop(hungry[tenant])
        if dealt[key] < demands[key].wanted:
            heappush(hungry[tenant], rank(key))
        if hungry[tenant]:
            heappush(tenants, (round(used[tenant], 9), hungry[tenant][0], tenant))
    return dealt
