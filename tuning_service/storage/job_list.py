"""Many jobs of a tenant at once: lists, and what they show of each job, in a number of queries that does not grow."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, literal, or_, select
from sqlalchemy.sql.expression import FromClause

from tuning_service.domain.job import Goal, TuningJob
from tuning_service.domain.principal import Usage
from tuning_service.domain.state import JobStatus, TrialStatus
from tuning_service.storage.rows import job_from
from tuning_service.storage.tables import job_usage, trials, tuning_jobs
from tuning_service.storage.usage import used_by_jobs

JOB_ORDERS = ("created_at", "name", "status", "ended_at", "cost")
# Where a list goes on: whether the last job seen has no value to sort by, that value, the job's id.
Position = tuple[bool, float | str, str]

_COMPLETED = str(TrialStatus.COMPLETED)

# These two are built once, and run each time that somebody asks how a job does.
_MEAN_SECONDS = (
    select(trials.c.job_id, func.avg(trials.c.ended_at - trials.c.started_at))
    .where(
        trials.c.job_id.in_(bindparam("jobs")),
        trials.c.tenant_id == bindparam("tenant"),
        trials.c.status == _COMPLETED,
    )
    .group_by(trials.c.job_id)
)


@functools.cache
def _best_of(goal: Goal) -> Select[Any]:
    completed = (trials.c.job_id == tuning_jobs.c.id, trials.c.status == _COMPLETED)
    # With the violation fixed, an index leads to the best value; sorting by both would read all trials.
    nearest = select(func.min(trials.c.violation)).where(*completed).correlate(tuning_jobs).scalar_subquery()
    order = trials.c.value.asc() if goal is Goal.MINIMIZE else trials.c.value.desc()
    first = (
        select(trials.c.id)
        .where(*completed, trials.c.violation == nearest)
        .order_by(order, trials.c.number)
        .limit(1)
        .correlate(tuning_jobs)
        .scalar_subquery()
    )
    chosen = (
        select(first.label("trial"))
        .where(tuning_jobs.c.id.in_(bindparam("jobs")), tuning_jobs.c.tenant_id == bindparam("tenant"))
        .subquery()
    )
    return select(trials.c.job_id, trials.c.value, trials.c.number, trials.c.violation).join(
        chosen, chosen.c.trial == trials.c.id
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs, and in which order; "" and () ask for all.

    `search` is a part of a job's name, of its id, or of the name of who submitted it, in letters of either
    case. Jobs that have not ended come last when `order` is "ended_at"; `cost` is that of executions that have ended.
    """

    statuses: Collection[JobStatus] = ()
    search: str = ""
    framework: str = ""
    algorithm: str = ""
    pool: str = ""
    order: str = "created_at"  # one of JOB_ORDERS
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best completed trial of a job with one objective."""

    value: float
    number: int
    feasible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasible:
    """Trials of a job that met all constraints, by number, and the last end that was looked at."""

    values: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    after: int = -1


class JobListRows:
    """One tenant's rows. Jobs of others that are named have nothing."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def jobs(
        self, query: JobQuery, *, after: Position | None = None, offset: int = 0, limit: int
    ) -> list[tuple[TuningJob, Position]]:
        """Jobs with their positions, those after `after`, without the first `offset`."""
        # Their ids first: sorting reads no specs then.
        source, key = self._source(query)
        missing = key.is_(None) if query.order == "ended_at" else literal(False)
        chosen = select(tuning_jobs.c.id, key.label("key"), missing.label("missing")).select_from(source)
        chosen = self._filtered(chosen, query)
        if after is not None:
            chosen = chosen.where(_beyond(key, after, nullable=query.order == "ended_at", down=query.descending))
        direction = [missing] if query.order == "ended_at" else []
        order = [column.desc() if query.descending else column for column in (key, tuning_jobs.c.id)]
        places = self._connection.execute(chosen.order_by(*direction, *order).limit(limit).offset(offset)).all()
        rows = self._connection.execute(select(tuning_jobs).where(tuning_jobs.c.id.in_([p.id for p in places])))
        by_id = {row.id: job_from(row) for row in rows}
        return [
            (by_id[p.id], (bool(p.missing), 0.0 if p.key is None else p.key, p.id)) for p in places if p.id in by_id
        ]

    def counts(self, query: JobQuery) -> dict[JobStatus, int]:
        """How many of the jobs are in each status; those that none is in are left out."""
        count = select(tuning_jobs.c.status, func.count()).select_from(self._source(query)[0])
        rows = self._connection.execute(self._filtered(count, query).group_by(tuning_jobs.c.status))
        return {JobStatus(status): number for status, number in rows}

    def _source(self, query: JobQuery) -> tuple[FromClause, ColumnElement[Any]]:
        source: FromClause = tuning_jobs
        if query.order == "cost":
            source = source.outerjoin(job_usage, job_usage.c.job_id == tuning_jobs.c.id)
            return source, func.coalesce(job_usage.c.cost, 0.0)
        if query.order == "name":
            return source, func.lower(tuning_jobs.c.name)
        return source, tuning_jobs.c[query.order]

    def _filtered(self, select_: Select[Any], query: JobQuery) -> Select[Any]:
        found = select_.where(tuning_jobs.c.tenant_id == self._tenant_id)
        if query.statuses:
            found = found.where(tuning_jobs.c.status.in_([str(s) for s in query.statuses]))
        for name in ("framework", "algorithm", "pool"):
            if wanted := getattr(query, name):
                found = found.where(tuning_jobs.c[name] == wanted)
        if query.search:
            # Ids and names of owners are lower-case: a call of lower() for each is spared.
            plain, wanted = (tuning_jobs.c.id, tuning_jobs.c.owner_name), query.search.lower()
            named = tuning_jobs.c.name.icontains(query.search, autoescape=True)
            found = found.where(or_(named, *(column.contains(wanted, autoescape=True) for column in plain)))
        return found

    # -- what a list shows of each job

    def best(self, goals: Mapping[str, Goal]) -> dict[str, Best]:
        """Of each of these jobs the trial that `TenantScope.best_trials` would name first, if there is one."""
        found: dict[str, Best] = {}
        for goal in Goal:
            job_ids = [job_id for job_id, wanted in goals.items() if wanted is goal]
            if job_ids:
                found |= self._best(job_ids, goal)
        return found

    def _best(self, job_ids: Sequence[str], goal: Goal) -> dict[str, Best]:
        rows = self._connection.execute(_best_of(goal), {"jobs": list(job_ids), "tenant": self._tenant_id})
        return {r.job_id: Best(value=r.value, number=r.number, feasible=r.violation <= 0) for r in rows}

    def mean_trial_seconds(self, job_ids: Collection[str]) -> dict[str, float]:
        """Per job, how long a completed trial took on average; jobs without one are missing."""
        rows = self._connection.execute(_MEAN_SECONDS, {"jobs": list(job_ids), "tenant": self._tenant_id})
        return {job_id: seconds for job_id, seconds in rows if seconds is not None}

    def feasible_values(self, after: Mapping[str, int]) -> dict[str, Feasible]:
        """Per job, what met all constraints of the trials that ended after its `after`-th one; -1 to begin with.

        Ends are stored one by one, so the answer's `after` is what to give the next time.
        """
        if not after:
            return {}
        rows = self._connection.execute(
            select(
                trials.c.job_id,
                trials.c.number,
                trials.c.settled,
                trials.c["values"],
                trials.c.violation,
                trials.c.status,
            ).where(
                trials.c.tenant_id == self._tenant_id,
                or_(*(and_(trials.c.job_id == job_id, trials.c.settled > end) for job_id, end in after.items())),
            )
        ).all()
        last = dict(after)
        values: dict[str, dict[int, Mapping[str, float]]] = {job_id: {} for job_id in after}
        for row in rows:
            last[row.job_id] = max(last[row.job_id], row.settled)
            if row.status == _COMPLETED and row.violation == 0:
                values[row.job_id][row.number] = row[3]
        return {job_id: Feasible(values=values[job_id], after=last[job_id]) for job_id in after}

    def usage(self, job_ids: Collection[str], now: float) -> dict[str, Usage]:
        """As `used_by_jobs`."""
        return used_by_jobs(self._connection, self._tenant_id, job_ids, now)


def _beyond(key: ColumnElement[Any], after: Position, *, nullable: bool, down: bool) -> ColumnElement[bool]:
    missing, value, job_id = after
    further = tuning_jobs.c.id < job_id if down else tuning_jobs.c.id > job_id
    if nullable and missing:
        return and_(key.is_(None), further)
    # Not as a comparison of pairs: SQLite finds no place in an index by those.
    later = key < value if down else key > value
    at = key <= value if down else key >= value
    beyond = and_(at, or_(later, further))
    return or_(key.is_(None), beyond) if nullable else beyond
