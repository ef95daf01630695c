"""Leases: which controller drives which job."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select, update

from tuning_service.domain.pool import DEFAULT_POOL
from tuning_service.domain.state import OPEN_JOBS, JobTarget
from tuning_service.storage.tables import pools, tuning_jobs

# Those that have not ended, and those that have and were resumed since. An index for each of the two: most jobs have
# ended, and are wanted to rest.
UNFINISHED = or_(tuning_jobs.c.status.in_([str(s) for s in OPEN_JOBS]), tuning_jobs.c.target == str(JobTarget.RUNNING))
_DUE = or_(UNFINISHED, tuning_jobs.c.target == str(JobTarget.DELETED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to drive one job. Every write for the job carries the epoch."""

    job_id: str
    tenant_id: str
    epoch: int


class LeaseRows:
    """Who has which job, and until when."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claimable_jobs(self, now: float, *, held: Collection[str], pool: str = DEFAULT_POOL) -> list[Lease]:
        """The pool's jobs that have work and whose lease ran out, as the leases they would be; `held` are left out.

        Jobs to be deleted whose pool is gone are anybody's.
        """
        rows = self._connection.execute(
            select(tuning_jobs.c.id, tuning_jobs.c.tenant_id, tuning_jobs.c.lease_epoch)
            .where(
                _DUE,
                or_(
                    tuning_jobs.c.pool == pool,
                    (tuning_jobs.c.target == str(JobTarget.DELETED)) & tuning_jobs.c.pool.not_in(select(pools.c.name)),
                ),
                tuning_jobs.c.lease_until <= now,
                tuning_jobs.c.id.not_in(list(held)),
            )
            # In one order for all, so that two controllers that claim at once do not wait for each other.
            .order_by(tuning_jobs.c.id)
        )
        return [Lease(job_id=row.id, tenant_id=row.tenant_id, epoch=row.lease_epoch + 1) for row in rows]

    def claim_jobs(self, wanted: Iterable[Lease], owner: str, now: float, ttl_s: float) -> list[Lease]:
        """Those of `wanted` that nobody took meanwhile; they are ours until `now + ttl_s`."""
        leases = []
        for lease in wanted:
            taken = self._connection.execute(
                update(tuning_jobs)
                .where(
                    tuning_jobs.c.id == lease.job_id,
                    tuning_jobs.c.lease_epoch == lease.epoch - 1,
                    tuning_jobs.c.lease_until <= now,
                )
                .values(lease_owner=owner, lease_epoch=lease.epoch, lease_until=now + ttl_s)
            )
            if taken.rowcount:
                leases.append(lease)
        return leases

    def renew(self, lease: Lease, now: float, ttl_s: float) -> bool:
        """False when the lease is somebody else's by now, or the job is gone."""
        renewed = self._connection.execute(self._held(lease).values(lease_until=now + ttl_s))
        return bool(renewed.rowcount)

    def release(self, lease: Lease) -> None:
        """Let another controller take the job at once."""
        self._connection.execute(self._held(lease).values(lease_owner=None, lease_until=0))

    def release_all(self) -> None:
        """End all leases: for a controller that knows that it is the only one left."""
        self._connection.execute(update(tuning_jobs).values(lease_owner=None, lease_until=0))

    def _held(self, lease: Lease) -> Any:
        return update(tuning_jobs).where(tuning_jobs.c.id == lease.job_id, tuning_jobs.c.lease_epoch == lease.epoch)
