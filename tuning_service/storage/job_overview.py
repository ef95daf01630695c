"""What is told of all trials of one job together."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.storage.tables import trials, tuning_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed trials of one job that failed alike. `reason` is that of the newest one, which is trial `newest`."""

    failure: str  # a `Failure`
    fault: FaultKind
    count: int
    newest: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a trial's last execution runs, or ran; "" before an executor took it."""

    host: str
    gpus: tuple[str, ...]


class JobOverviewRows:
    """One tenant's rows. Jobs of others have nothing."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def failures(self, job_id: str) -> list[FailureGroup]:
        """The most frequent kind first."""
        kinds = (
            select(
                trials.c.failure,
                trials.c.fault,
                func.count().label("count"),
                func.max(trials.c.number).label("newest"),
            )
            .where(
                trials.c.job_id == job_id,
                trials.c.tenant_id == self._tenant_id,
                trials.c.status == str(TrialStatus.FAILED),
            )
            .group_by(trials.c.failure, trials.c.fault)
            .subquery()
        )
        rows = self._connection.execute(
            select(kinds, trials.c.reason)
            .join(trials, (trials.c.job_id == job_id) & (trials.c.number == kinds.c.newest))
            .order_by(kinds.c.count.desc(), kinds.c.newest.desc())
        )
        return [
            FailureGroup(failure=r.failure, fault=FaultKind(r.fault), count=r[2], newest=r.newest, reason=r.reason)
            for r in rows
        ]

    def places(self, job_id: str, numbers: Sequence[int]) -> dict[int, Place]:
        """By trial number; trials without an execution are left out."""
        rows = self._connection.execute(
            select(tuning_tasks.c.trial_number, tuning_tasks.c.host, tuning_tasks.c.gpus)
            .where(
                tuning_tasks.c.job_id == job_id,
                tuning_tasks.c.tenant_id == self._tenant_id,
                tuning_tasks.c.trial_number.in_(list(numbers)),
            )
            .order_by(tuning_tasks.c.number)
        )
        return {row.trial_number: Place(host=row.host, gpus=tuple(row.gpus)) for row in rows}
