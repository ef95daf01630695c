"""Executors that are left out, the slots that runners hold there without a training, and how executions ended where."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, or_, select, update

from tuning_service.domain.pool import Cordon
from tuning_service.domain.state import TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.storage.rows import AnyRow, cordon_from, params_key
from tuning_service.storage.tables import cordons, trials, tuning_jobs, tuning_tasks
from tuning_service.storage.writes import upsert

_FORGOTTEN_S = 24 * 3600.0  # an ended cordon says until then from when on its executor may be judged anew
_MOST_LOST_READ = 200
_JOBS_LOOKED_AT = 20
# Built once: this runs for every claim.
_OF_HOST = select(cordons).where(
    cordons.c.pool == bindparam("pool"),
    cordons.c.host == bindparam("host"),
    or_(cordons.c.ends_at.is_(None), cordons.c.ends_at > bindparam("now")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A slot that is held without a training."""

    host: str
    cpus: int
    gpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """An execution that was lost by the fault of the cluster, or of its environment."""

    host: str
    configuration: str  # equal for equal parameters
    trial_id: str
    way: str  # in a word, or the reason without what differs from one time to the next
    ran_s: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """An execution that its program ended, or that still runs."""

    host: str
    succeeded: bool
    running: bool
    ran_s: float
    at: float  # of its end; now for one that runs


class CordonRows:
    """For operators, for the desk that answers claims, and for controllers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, cordon: Cordon) -> None:
        """Leave the executor out, or change why and until when; what ended long ago is forgotten."""
        self._connection.execute(delete(cordons).where(cordons.c.ends_at < cordon.created_at - _FORGOTTEN_S))
        upsert(self._connection, cordons, [asdict(cordon)])

    def end(self, pool: str, host: str, now: float) -> bool:
        """False when there is no cordon that could be ended."""
        holds = or_(cordons.c.ends_at.is_(None), cordons.c.ends_at > now)
        ended = self._connection.execute(
            update(cordons).where(cordons.c.pool == pool, cordons.c.host == host, holds).values(ends_at=now)
        )
        return bool(ended.rowcount)

    def find(self, pool: str, host: str, now: float) -> Cordon | None:
        """The one that holds now."""
        row = self._connection.execute(_OF_HOST, {"pool": pool, "host": host, "now": now}).first()
        return None if row is None else cordon_from(row)

    def of_pool(self, pool: str) -> list[Cordon]:
        """By host; those too that have ended within the last day."""
        query = select(cordons).where(cordons.c.pool == pool).order_by(cordons.c.host)
        return [cordon_from(row) for row in self._connection.execute(query)]

    def hosts(self, pool: str) -> list[str]:
        """Where trials of the pool's newest jobs were begun, by name."""
        newest = (
            select(tuning_jobs.c.id)
            .where(tuning_jobs.c.pool == pool)
            .order_by(tuning_jobs.c.created_at.desc())
            .limit(_JOBS_LOOKED_AT)
        )
        query = select(tuning_tasks.c.host).where(
            tuning_tasks.c.job_id.in_(newest), tuning_tasks.c.claimed_at.is_not(None)
        )
        return sorted(self._connection.scalars(query.distinct()))

    # -- slots without a training

    def park(self, task_id: str, host: str, now: float) -> None:
        """The runner of this ended task holds a slot on `host` as of now."""
        self._connection.execute(
            update(tuning_tasks).where(tuning_tasks.c.id == task_id).values(parked_at=now, host=host)
        )

    def leave(self, task_id: str) -> None:
        """The runner of this ended task has let go of its slot."""
        self._connection.execute(update(tuning_tasks).where(tuning_tasks.c.id == task_id).values(parked_at=None))

    def parked(self, owner: str, since: float) -> list[Parked]:
        """Slots of the Spark application of that controller, of which a runner has said so since then."""
        rows = self._connection.execute(
            select(tuning_tasks.c.host, tuning_tasks.c.cpus, tuning_tasks.c.gpu_share)
            .join(tuning_jobs, tuning_jobs.c.id == tuning_tasks.c.job_id)
            .where(tuning_tasks.c.parked_at > since, tuning_jobs.c.lease_owner == owner)
        )
        return [Parked(host=row.host, cpus=row.cpus, gpus=row.gpu_share) for row in rows]

    # -- what became of executions

    def deaths(self, pool: str, since: float) -> list[Death]:
        """Newest first."""
        query = (
            _ends(pool, since)
            .add_columns(tuning_tasks.c.outcome, trials.c.params)
            .join(trials, trials.c.id == tuning_tasks.c.trial_id)
            .where(tuning_tasks.c.status == str(TaskStatus.LOST), tuning_tasks.c.ended_at > since)
            .order_by(tuning_tasks.c.ended_at.desc())
            .limit(_MOST_LOST_READ)
        )
        counts = {str(FaultKind.CLUSTER), str(FaultKind.ENVIRONMENT)}
        return [_death(row) for row in self._connection.execute(query) if row.outcome["fault"] in counts]

    def lives(self, pool: str, since: float, now: float) -> list[Life]:
        """Executions that their programs ended since then, and those that run, in any order."""
        running = tuning_tasks.c.status == str(TaskStatus.CLAIMED)
        by_program = tuning_tasks.c.status.in_([str(TaskStatus.SUCCEEDED), str(TaskStatus.FAILED)])
        query = _ends(pool, since).where(or_(running, by_program & (tuning_tasks.c.ended_at > since)))
        return [
            Life(
                host=row.host,
                succeeded=row.status == str(TaskStatus.SUCCEEDED),
                running=row.ended_at is None,
                ran_s=(row.ended_at or now) - row.claimed_at,
                at=row.ended_at or now,
            )
            for row in self._connection.execute(query)
        ]


def _ends(pool: str, since: float) -> Select[Any]:
    """Claimed tasks of jobs that have not ended before then: so an index by job serves."""
    return (
        select(
            tuning_tasks.c.host,
            tuning_tasks.c.status,
            tuning_tasks.c.trial_id,
            tuning_tasks.c.claimed_at,
            tuning_tasks.c.ended_at,
        )
        .join(tuning_jobs, tuning_jobs.c.id == tuning_tasks.c.job_id)
        .where(
            tuning_jobs.c.pool == pool,
            or_(tuning_jobs.c.ended_at.is_(None), tuning_jobs.c.ended_at > since),
            tuning_tasks.c.claimed_at.is_not(None),
        )
    )


def _death(row: AnyRow) -> Death:
    return Death(
        host=row.host,
        configuration=params_key(row.params),
        trial_id=row.trial_id,
        way=row.outcome.get("failure") or "".join(c for c in row.outcome["reason"] if not c.isdigit()),
        ran_s=row.ended_at - row.claimed_at,
        at=row.ended_at,
    )
