"""Compute pools, and the controllers that serve them."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuning_service.domain.errors import Conflict, NotFound
from tuning_service.domain.pool import POOL_FIELDS, ControllerSeen, Pool
from tuning_service.domain.state import OPEN_JOBS, OPEN_TASKS, JobStatus
from tuning_service.storage.leases import UNFINISHED
from tuning_service.storage.rows import controller_from, pool_from
from tuning_service.storage.tables import controllers, cordons, pools, tuning_jobs, tuning_tasks
from tuning_service.storage.writes import upsert

_FORGOTTEN_S = 24 * 3600.0  # controllers that have been silent for so long are not listed any more


class PoolRows:
    """Used by operators, by managers when jobs are submitted, and by controllers for their own pool."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, pool: Pool) -> None:
        """Raises Conflict when the name is taken."""
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(pools).values(_values(pool)))
        except IntegrityError as error:
            raise Conflict(f"There is a pool {pool.name!r} already.") from error

    def find(self, name: str) -> Pool | None:
        """The pool, or None."""
        row = self._connection.execute(select(pools).where(pools.c.name == name)).first()
        return None if row is None else pool_from(row)

    def get(self, name: str) -> Pool:
        """Raises NotFound."""
        pool = self.find(name)
        if pool is None:
            raise NotFound(f"There is no pool {name!r}.")
        return pool

    def lock(self, name: str) -> Pool:
        """The pool, which nobody else changes or removes until the transaction ends. Raises NotFound."""
        # SQLite ignores FOR UPDATE: there, a writing transaction is alone anyway.
        row = self._connection.execute(select(pools).where(pools.c.name == name).with_for_update()).first()
        if row is None:
            raise NotFound(f"There is no pool {name!r}.")
        return pool_from(row)

    def all(self, *, kept: bool = False) -> list[Pool]:
        """By name. `kept`: none of them is changed or removed before the transaction ends."""
        query = select(pools).order_by(pools.c.name)
        rows = self._connection.execute(query.with_for_update(read=True) if kept else query)
        return [pool_from(row) for row in rows]

    def change(self, pool: Pool) -> None:
        """Store what may be changed of it."""
        values = {name: value for name, value in _values(pool).items() if name in POOL_FIELDS}
        self._connection.execute(update(pools).where(pools.c.name == pool.name).values(values))

    def remove(self, name: str) -> None:
        """Raises NotFound, and Conflict while a job in it has not ended."""
        self.lock(name)
        used = self._connection.execute(
            select(tuning_jobs.c.id).where(tuning_jobs.c.pool == name, UNFINISHED).limit(1)
        ).first()
        if used is not None:
            raise Conflict(f"Jobs in the pool {name!r} have not ended; drain it, and stop or await them.")
        self._connection.execute(delete(cordons).where(cordons.c.pool == name))
        self._connection.execute(delete(pools).where(pools.c.name == name))

    def heard_of(self, controller: ControllerSeen) -> None:
        """A controller has said how it is."""
        upsert(self._connection, controllers, [asdict(controller)])

    def forget(self, controller_id: str, before: float) -> None:
        """A controller has ended in good order; those that went otherwise are forgotten after a day."""
        gone = (controllers.c.id == controller_id) | (controllers.c.seen_at < before - _FORGOTTEN_S)
        self._connection.execute(delete(controllers).where(gone))

    def controllers(self, pool: str | None = None) -> Sequence[ControllerSeen]:
        """Those of a pool, or of all, by the time at which they started."""
        query = select(controllers).order_by(controllers.c.started_at)
        if pool is not None:
            query = query.where(controllers.c.pool == pool)
        return [controller_from(row) for row in self._connection.execute(query)]

    def used_by_controllers(self) -> dict[str, tuple[int, float]]:
        """By controller: the CPUs and GPUs that open tasks of the jobs that it drives hold."""
        tasks, owner = tuning_tasks.c, tuning_jobs.c.lease_owner
        rows = self._connection.execute(
            select(owner, func.sum(tasks.cpus), func.sum(tasks.gpu_share))
            .join(tuning_jobs, tuning_jobs.c.id == tasks.job_id)
            .where(
                tasks.status.in_([str(status) for status in OPEN_TASKS]),
                tuning_jobs.c.status.in_([str(status) for status in OPEN_JOBS]),
                owner.is_not(None),
            )
            .group_by(owner)
        )
        return {controller: (cpus, gpus) for controller, cpus, gpus in rows}

    def controllers_with(self, *, reason: str) -> set[str]:
        """Controllers that drive a running job whose reason begins so."""
        jobs = tuning_jobs.c
        rows = self._connection.execute(
            select(jobs.lease_owner).where(
                jobs.status == str(JobStatus.RUNNING),
                jobs.lease_owner.is_not(None),
                jobs.reason.startswith(reason, autoescape=True),
            )
        )
        return {row.lease_owner for row in rows}


def _values(pool: Pool) -> dict[str, object]:
    values = asdict(pool)
    return values | {"tenants": None if pool.tenants is None else list(pool.tenants)}
