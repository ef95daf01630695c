"""Compute pools: what operators do with them, what tenants see of them, and which one a job goes to."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict, FieldProblem, InvalidRequest, NotFound
from tuning_service.domain.job import TuningJob
from tuning_service.domain.pool import DEFAULT_POOL, OPERATOR, ControllerSeen, Cordon, Pool, pool_problems
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import Role
from tuning_service.domain.texts import storable
from tuning_service.storage.store import Store, Unit

HIDDEN = "…"  # stands where a secret is
_LONGEST_HOST = 255
_HOSTS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool, with the controllers that serve it, and why it is of no use now, if so."""

    pool: Pool
    controllers: Sequence[ControllerSeen]
    trouble: str  # "" when jobs can run
    cordons: Sequence[Cordon] = ()  # that hold now

    @property
    def cpus(self) -> int:
        """What its controllers' executors have; or what is stated."""
        return sum(c.cpus for c in self.controllers) if self.pool.stated is None else self.pool.stated[0]

    @property
    def gpus(self) -> int:
        """The same for GPUs."""
        return sum(c.gpus for c in self.controllers) if self.pool.stated is None else self.pool.stated[1]


def unserved(name: str, controllers: Collection[ControllerSeen], now: float) -> str:
    """That no controller serves the pool; "" when one of these does."""
    return "" if any(c.is_alive(now) for c in controllers) else f"no controller serves the pool {name!r} at present."


def trouble(name: str, controllers: Collection[ControllerSeen], now: float) -> str:
    """Why no trial can start in the pool of these controllers; "" when one can."""
    if nobody := unserved(name, controllers, now):
        return nobody
    alive = [c for c in controllers if c.is_alive(now)]
    connected = [c for c in alive if c.connected]
    if connected:
        return "" if any(not c.problem for c in connected) else f"the pool {name!r} has no executors."
    why = next((c.problem for c in alive if c.problem), "its controller is still connecting to Spark.")
    return f"the pool {name!r} cannot be reached: {why}"


def choose_pool(wanted: str, pools: Sequence[Pool], tenant_id: str) -> str:
    """The pool that a job goes to: the one it names, or the only one, or the one that is called default.

    Raises:
        InvalidRequest: the tenant may not use it, or has to choose.
    """
    names = [pool.name for pool in pools if pool.admits(tenant_id)]
    if wanted in names:
        return wanted
    if not names:
        message, remedy = "there is no compute pool that this tenant may use.", "Ask the operator for one."
    elif wanted:
        message, remedy = f"there is no pool {wanted!r} for this tenant.", f"Use one of {', '.join(names)}."
    elif len(names) == 1:
        return names[0]
    elif DEFAULT_POOL in names:
        return DEFAULT_POOL
    else:
        message, remedy = "is missing, and there are several.", f"Use one of {', '.join(names)}."
    raise InvalidRequest(FieldProblem(field="pool", message=message, remedy=remedy))


def check_pool(unit: Unit, job: TuningJob) -> None:
    """Return quietly when the job, which has ended, may go on in its pool in this transaction. Raises Conflict."""
    if not any(pool.name == job.spec.pool and pool.admits(job.tenant_id) for pool in unit.pools.all(kept=True)):
        raise Conflict(f"There is no pool {job.spec.pool!r} for this tenant any more; submit the job for another one.")


def too_large(pool: Pool, cpus: int, gpus: float) -> list[FieldProblem]:
    """What a trial asks for that no slot of the pool has, as far as the pool states its slots."""
    if pool.slots is None:
        return []
    asked = (("cpus", cpus, pool.cpus_per_slot), ("gpus", gpus, pool.gpus_per_slot))
    return [
        FieldProblem(
            field=f"resources.{name}",
            message=f"{wish:g} is more than a slot of the pool {pool.name!r} has, which is {most}.",
            remedy=f"Use at most {most}, or another pool.",
        )
        for name, wish, most in asked
        if wish > most
    ]


def _unseen(host: str, hosts: Sequence[str]) -> str:
    named = get_close_matches(host, hosts, n=_HOSTS_NAMED, cutoff=0.5) or hosts[:_HOSTS_NAMED]
    more = " …" if len(hosts) > len(named) else ""
    return f"No trial of this pool's newest jobs ran there; they ran on {', '.join(named)}{more}."


class PoolMgr:
    """Safe from any thread."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock

    def cordon(
        self, principal: Principal, name: str, host: str, *, reason: str = "", minutes: float | None = None
    ) -> tuple[Cordon, str]:
        """Give an executor no trials from now on, for so long or until `uncordon`; what runs there goes on.

        The text is "", or says where trials ran lately, when none ran there: the host may be called otherwise.

        Raises:
            Denied, NotFound, InvalidRequest
        """
        self.pool(principal, name)
        principal.require(Role.OPERATOR)
        host = storable(host.strip())
        if not host or len(host) > _LONGEST_HOST:
            remedy = "Name the executor's host as tasks show it: tuning-service trials JOB TRIAL."
            raise InvalidRequest(FieldProblem(field="host", message=f"{host[:80]!r} is no host.", remedy=remedy))
        now = self._clock()
        cordon = Cordon(
            pool=name,
            host=host,
            reason=storable(reason),
            set_by=OPERATOR,
            created_at=now,
            ends_at=None if minutes is None else now + 60 * minutes,
        )
        with self._store.write() as unit:
            unit.cordons.put(cordon)
        with self._store.read() as unit:
            hosts = unit.cordons.hosts(name)
        return cordon, _unseen(host, hosts) if hosts and host not in hosts else ""

    def uncordon(self, principal: Principal, name: str, host: str) -> None:
        """Give an executor trials again. Raises Denied, NotFound."""
        self.pool(principal, name)
        principal.require(Role.OPERATOR)
        with self._store.write() as unit:
            if not unit.cordons.end(name, host, self._clock()):
                raise NotFound(f"No executor {host!r} is cordoned in the pool {name!r}.")

    def pools(self, principal: Principal) -> Sequence[PoolView]:
        """All for operators, for others those that their tenant may use; by name."""
        with self._store.read() as unit:
            seen = unit.pools.controllers()
            found = [pool for pool in unit.pools.all() if _sees(principal, pool)]
            cordons = {pool.name: unit.cordons.of_pool(pool.name) for pool in found}
        return [self._view(pool, [c for c in seen if c.pool == pool.name], cordons[pool.name]) for pool in found]

    def pool(self, principal: Principal, name: str) -> PoolView:
        """Raises NotFound, also for a pool that the tenant may not use."""
        with self._store.read() as unit:
            pool = unit.pools.get(name)
            controllers = unit.pools.controllers(name)
            cordons = unit.cordons.of_pool(name)
        if not _sees(principal, pool):
            raise NotFound(f"There is no pool {name!r}.")
        return self._view(pool, controllers, cordons)

    def create(self, principal: Principal, name: str, **described: Any) -> PoolView:
        """A new pool; a controller started with its name serves it.

        Raises:
            Denied, InvalidRequest, Conflict
        """
        principal.require(Role.OPERATOR)
        with self._store.write() as unit:
            described = _with_tenant_ids(unit, described)
            pool = _checked(Pool(name=name, created_at=self._clock(), **described))
            unit.pools.add(pool)
        return self._view(pool, ())

    def change(self, principal: Principal, name: str, **described: Any) -> PoolView:
        """Prices, slots, tenants and draining take effect within seconds; master and conf when a controller starts.

        Raises:
            Denied, NotFound, InvalidRequest
        """
        self.pool(principal, name)
        principal.require(Role.OPERATOR)
        with self._store.write() as unit:
            described = _with_tenant_ids(unit, described)
            before = unit.pools.lock(name)
            if "conf" in described:
                described["conf"] = _with_hidden(described["conf"], before.conf)
            # What stays is not complained of: the first pool has no master until its controller says which.
            pool = _checked(dataclasses.replace(before, **described), changed=described)
            unit.pools.change(pool)
            controllers = unit.pools.controllers(name)
            cordons = unit.cordons.of_pool(name)
        return self._view(pool, controllers, cordons)

    def delete(self, principal: Principal, name: str) -> None:
        """Raises Denied, NotFound, and Conflict while a job in it has not ended or a controller serves it."""
        serving = self.pool(principal, name).controllers
        principal.require(Role.OPERATOR)
        if serving:
            # It would go on with what the pool was, and make it anew at its next start.
            where = ", ".join(f"{c.host} (pid {c.pid})" for c in serving)
            raise Conflict(f"The pool {name!r} is served by a controller on {where}; stop it first.")
        with self._store.write() as unit:
            unit.pools.remove(name)

    def _view(self, pool: Pool, controllers: Sequence[ControllerSeen], cordons: Sequence[Cordon] = ()) -> PoolView:
        now = self._clock()
        alive = [c for c in controllers if c.is_alive(now)]
        held = [c for c in cordons if c.holds(now)]
        return PoolView(pool=pool, controllers=alive, trouble=trouble(pool.name, alive, now), cordons=held)


def _sees(principal: Principal, pool: Pool) -> bool:
    return principal.role is Role.OPERATOR or pool.admits(principal.tenant_id)


def _with_tenant_ids(unit: Unit, described: dict[str, Any]) -> dict[str, Any]:
    """`described`, with ids in place of the tenants' names."""
    named = described.get("tenants")
    if named is None:
        return described
    known = {key: tenant.id for tenant in unit.tenancy.tenants() for key in (tenant.name, tenant.id)}
    problems = [
        FieldProblem(field=f"tenants.{i}", message=f"there is no tenant {name!r}.", remedy="See GET /v1/tenants.")
        for i, name in enumerate(named)
        if name not in known
    ]
    if problems:
        raise InvalidRequest(*problems)
    return described | {"tenants": tuple(dict.fromkeys(known[name] for name in named))}


def _with_hidden(conf: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """`conf`, with the secrets that whoever read it was not shown."""
    return {name: before.get(name, value) if value == HIDDEN else value for name, value in conf.items()}


def _checked(pool: Pool, changed: Collection[str] | None = None) -> Pool:
    problems = [problem for problem in pool_problems(pool) if changed is None or problem.field.split(".")[0] in changed]
    if problems:
        raise InvalidRequest(*problems)
    return pool
