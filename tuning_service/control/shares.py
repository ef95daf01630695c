"""Who gets the free slots: pure arithmetic over what each job uses and wants."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice

from tuning_service.compute.base import Capacity, gpu_part
from tuning_service.domain.job import Resources
from tuning_service.domain.pool import Pool
from tuning_service.domain.texts import counted

FOR_SLOTS = "Waits for free slots."  # then comes the job's place
_EPSILON = 1e-9
_FARTHEST = 10_000  # turns that are looked ahead to tell a job its place


def stated(pool: Pool | None) -> Capacity | None:
    """What the pool's operator says that it has; None when Spark is to be asked."""
    if pool is None or pool.stated is None:
        return None
    cpus, gpus = pool.stated
    return Capacity(
        cpus=cpus,
        gpus=gpus,
        largest_cpus=pool.cpus_per_slot,
        largest_gpus=pool.gpus_per_slot,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a job uses and would like. `running` and `wanted` count tasks of size `resources`."""

    tenant_id: str
    resources: Resources
    running: int
    wanted: int  # further tasks, beside those that run
    tenant_limit: int  # tasks of the whole tenant that may run at once
    tenant_gpus: float | None = None  # GPUs that they may hold; None: no limit
    elsewhere: int = 0  # tasks of the tenant that jobs of other controllers run, and the GPUs that those hold
    gpus_elsewhere: float = 0.0
    weight: float = 1.0  # the tenant's part of contended slots
    used_up: str = ""  # why the tenant launches nothing for now, beside the limits above
    launched_at: float = 0.0  # when it last launched a task, on any clock that all demands share


def grant(job_id: str, demands: Mapping[str, Demand], capacity: Capacity) -> tuple[int, str]:
    """How many further tasks the job may launch now, and why it gets none when it gets none.

    Free slots are dealt out one by one: to the tenant that uses least of the pool for its weight, there to the job
    that uses least, and among equals to the one that has waited longest. So what one does not want the others get, no
    slot stays free that somebody could use, and nobody starves: a job beyond its share is not refilled while others
    wait. What a job uses of the pool is its part of the CPUs or of the GPUs, whichever is more.
    """
    mine = demands[job_id]
    slots = capacity.slots(mine.resources)
    if not slots:
        size = f"{counted(mine.resources.cpus, 'CPU')} and {counted(mine.resources.gpus, 'GPU')}"
        return 0, f"Waits: no executor has {size} for a trial." if capacity.cpus else "Waits for executors."
    cost = _costs(demands, capacity)
    count = _deal(demands, cost, capacity).get(job_id, 0)
    return count, "" if count or not mine.wanted else _why_none(job_id, demands, cost)


def _why_none(job_id: str, demands: Mapping[str, Demand], cost: Mapping[str, float]) -> str:
    mine = demands[job_id]
    own = [d for d in demands.values() if d.tenant_id == mine.tenant_id]
    if mine.used_up:
        return f"Waits: {mine.used_up}"
    if sum(d.running for d in own) + mine.elsewhere >= mine.tenant_limit:
        return f"Waits: the tenant's quota of {counted(mine.tenant_limit, 'trial')} in parallel is in use."
    if not _has_gpus(mine, 0.0):
        takes = counted(mine.resources.gpus, "GPU")
        return f"Waits: a trial takes {takes}, and the tenant's quota is {mine.tenant_gpus:g}."
    if not _has_gpus(mine, sum(d.running * d.resources.gpus for d in own) + mine.gpus_elsewhere):
        return f"Waits: the tenant's quota of {counted(mine.tenant_gpus or 0, 'GPU')} is in use."
    ahead: set[str] = set()
    for key in islice(_turns(demands, cost), _FARTHEST):
        if key == job_id:
            break
        ahead.add(key)
    count = f"{len(ahead)} jobs go" if len(ahead) > 1 else "1 job goes"
    return FOR_SLOTS + (f" Before it, {count}." if ahead else " It is the next.")


def _has_gpus(demand: Demand, used: float) -> bool:
    if demand.tenant_gpus is None or not demand.resources.gpus:
        return True
    return used + demand.resources.gpus <= demand.tenant_gpus + _EPSILON


def _costs(demands: Mapping[str, Demand], capacity: Capacity) -> dict[str, float]:
    """A task's part of the whole pool; what can never run neither counts nor waits in anybody's way."""
    return {key: 1 / slots for key, demand in demands.items() if (slots := capacity.slots(demand.resources))}


def _deal(demands: Mapping[str, Demand], cost: Mapping[str, float], capacity: Capacity) -> dict[str, int]:
    """How many tasks each job gets when all that is free is dealt out."""
    cpus = capacity.cpus - sum(demands[key].running * demands[key].resources.cpus for key in cost)
    gpus = capacity.gpus - sum(demands[key].running * gpu_part(demands[key].resources) for key in cost)
    dealt = dict.fromkeys(cost, 0)
    waiting: set[str] = set()
    for key in _turns(demands, cost, waiting):
        if cpus < 1:
            break
        wish = demands[key].resources
        lacks_cpus, lacks_gpus = wish.cpus > cpus, gpu_part(wish) > max(gpus, 0.0) + _EPSILON
        if lacks_cpus or lacks_gpus:
            waiting.add(key)
        else:
            dealt[key] += 1
        # Also for one that has to wait, not handed on to smaller ones: they would take each slot as it comes free, and
        # this one would starve. CPUs, though, are not left idle for the sake of GPUs that others hold.
        gpus -= gpu_part(wish)
        if lacks_cpus or not lacks_gpus:
            cpus -= wish.cpus
    return dealt


class _Used:
    """What tenants use of the pool while slots are dealt out."""

    def __init__(self, demands: Mapping[str, Demand], cost: Mapping[str, float]) -> None:
        self._demands, self._cost = demands, cost
        self.running = dict.fromkeys(cost, 0)
        self._tasks: defaultdict[str, int] = defaultdict(int)
        self._gpus: defaultdict[str, float] = defaultdict(float)
        self._part: defaultdict[str, float] = defaultdict(float)  # by tenant, of the pool, for its weight
        for key in cost:
            self.add(key, demands[key].running)

    def add(self, key: str, count: int = 1) -> None:
        demand = self._demands[key]
        self.running[key] += count
        self._tasks[demand.tenant_id] += count
        self._gpus[demand.tenant_id] += count * demand.resources.gpus
        self._part[demand.tenant_id] += count * self._cost[key] / demand.weight

    def part(self, tenant: str) -> float:
        # Rounded, here and below, so that sums of the same parts in another order are equal.
        return round(self._part[tenant], 9)

    def rank(self, key: str) -> tuple[float, float, str]:
        """Among the jobs of a tenant."""
        return round(self.running[key] * self._cost[key], 9), self._demands[key].launched_at, key

    def tasks_left(self, demand: Demand) -> bool:
        return self._tasks[demand.tenant_id] + demand.elsewhere < demand.tenant_limit

    def gpus_left(self, demand: Demand) -> bool:
        return _has_gpus(demand, self._gpus[demand.tenant_id] + demand.gpus_elsewhere)


def _turns(
    demands: Mapping[str, Demand], cost: Mapping[str, float], passed_over: Collection[str] = ()
) -> Iterator[str]:
    """The jobs in the order in which they are given slots, one at a time, as long as quotas allow.

    Whoever asks may put jobs into `passed_over` meanwhile: these have no further turn.
    """
    used = _Used(demands, cost)
    hungry: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)  # a heap of jobs for each tenant
    for key in cost:
        if demands[key].wanted and not demands[key].used_up:
            heappush(hungry[demands[key].tenant_id], used.rank(key))
    tenants = [(used.part(tenant), jobs[0], tenant) for tenant, jobs in hungry.items()]
    heapify(tenants)
    while tenants:
        _, (_, _, key), tenant = heappop(tenants)
        demand = demands[key]
        heappop(hungry[tenant])
        if not used.tasks_left(demand):
            continue
        if used.gpus_left(demand):
            yield key
            if key not in passed_over:
                used.add(key)
                if used.running[key] - demand.running < demand.wanted:
                    heappush(hungry[tenant], used.rank(key))
        if hungry[tenant]:
            heappush(tenants, (used.part(tenant), hungry[tenant][0], tenant))
