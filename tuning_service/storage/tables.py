"""The tables. A change here needs a migration: a test compares the two."""

from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Json(TypeDecorator[Any]):
    """A JSON document as text: read and written whole, never searched by the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else orjson.loads(value)


def _id(name: str = "id", **options: Any) -> Column[str]:
    return Column(name, String(40), **options)


def _of(name: str, column: str, **options: Any) -> Column[str]:
    return Column(name, String(40), ForeignKey(column, ondelete="CASCADE"), nullable=False, **options)


tenants = Table(
    "tenants",
    metadata,
    _id(primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("max_parallel", Integer, nullable=False),
    Column("weight", Double, nullable=False, server_default=text("1")),
    # Of these, NULL is no limit.
    Column("max_gpus", Double),
    Column("max_gpu_hours", Double),
    Column("max_jobs", Integer),
    Column("max_storage_bytes", BigInteger),
    Column("max_requests_per_s", Double),
)

pools = Table(
    "pools",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("master", Text, nullable=False),
    Column("conf", Json, nullable=False),
    Column("slots", Integer),  # NULL: what Spark says
    Column("cpus_per_slot", Integer, nullable=False),
    Column("gpus_per_slot", Integer, nullable=False),
    Column("price", Double, nullable=False),
    Column("tenants", Json),  # NULL: all
    Column("drained", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
)

# What controllers say of themselves. No foreign key: a pool may go while its controller still ends.
controllers = Table(
    "controllers",
    metadata,
    _id(primary_key=True),
    Column("pool", String(64), nullable=False),
    Column("version", String(40), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("lease_s", Double, nullable=False),
    Column("connected", Boolean, nullable=False),
    Column("problem", Text, nullable=False),
    Column("cpus", Integer, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("skew_s", Double, nullable=False, server_default=text("0")),
)

# What each manager process last said of itself.
managers = Table(
    "managers",
    metadata,
    _id(primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("problem", Text, nullable=False),
)

# Executors that get no trials. No foreign key to pools, as for controllers.
cordons = Table(
    "cordons",
    metadata,
    Column("pool", String(64), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("set_by", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ends_at", Double),  # NULL: when somebody ends it
)

# What each tenant's executions have used, added up when they end: jobs that are deleted do not take it along.
usage = Table(
    "usage",
    metadata,
    _of("tenant_id", "tenants.id", primary_key=True),
    Column("month", String(7), primary_key=True),  # 2031-04, UTC
    Column("pool", String(64), primary_key=True),
    Column("tasks", Integer, nullable=False),
    Column("cpu_s", Double, nullable=False),
    Column("gpu_s", Double, nullable=False),
    Column("cost", Double, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(primary_key=True),
    # NULL: an operator's key
    Column("tenant_id", String(40), ForeignKey("tenants.id", ondelete="CASCADE"), index=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)

# Secrets that all processes of a deployment share, such as the one that signs task tokens.
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

programs = Table(
    "programs",
    metadata,
    _of("tenant_id", "tenants.id", primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("bytes", Integer, nullable=False),
    Column("files", Json, nullable=False),
    Column("created_at", Double, nullable=False),
)

tuning_jobs = Table(
    "tuning_jobs",
    metadata,
    _id(primary_key=True),
    _of("tenant_id", "tenants.id"),
    Column("name", String(200), nullable=False),
    Column("spec", Text, nullable=False),  # JSON, see rows.py
    Column("program", String(64), nullable=False),
    Column("pool", String(64), nullable=False, server_default=text("'default'")),
    # As in the spec, for lists that are filtered by them.
    Column("framework", String(64), nullable=False, server_default=text("''")),
    Column("algorithm", String(64), nullable=False, server_default=text("''")),
    # How often the spec was changed: what was decided upon an earlier one is not stored.
    Column("edits", Integer, nullable=False, server_default=text("0")),
    Column("status", String(16), nullable=False),
    Column("target", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("owner", String(40), nullable=False),
    Column("owner_name", String(64), nullable=False, server_default=text("''")),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("used_s", Double, nullable=False),
    Column("running_since", Double),
    Column("forgiven", Integer, nullable=False),
    # How many rows of queued_points have no trial: most jobs have none, and then their controllers look no further.
    Column("queued_points", Integer, nullable=False, server_default=text("0")),
    Column("model_best_trial", Integer),
    Column("model_best_value", Double),
    Column("warm_start_report", Json),
    ForeignKeyConstraint(["tenant_id", "program"], ["programs.tenant_id", "programs.digest"]),
    Column("lease_owner", String(80)),
    Column("lease_epoch", Integer, nullable=False, server_default=text("0")),
    Column("lease_until", Double, nullable=False, server_default=text("0")),
    Index("ix_tuning_jobs_tenant_id_id", "tenant_id", "id"),
    # All that a list is filtered and searched by: what is not shown is found without reading its spec.
    Index(
        "ix_tuning_jobs_list",
        *("tenant_id", "created_at", "id", "status", "framework", "algorithm", "pool", "name", "owner_name"),
    ),
    Index("ix_tuning_jobs_tenant_id_program", "tenant_id", "program"),
    Index("ix_tuning_jobs_status", "status"),
    # Jobs that have ended and are wanted otherwise, among thousands that rest.
    Index("ix_tuning_jobs_target", "target"),
)

# What a job's executions have used, added up when they end. Not in the job's row: runners would wait there for its
# controller, and the controller for them.
job_usage = Table(
    "job_usage",
    metadata,
    _of("job_id", "tuning_jobs.id", primary_key=True),
    Column("cpu_s", Double, nullable=False),
    Column("gpu_s", Double, nullable=False),
    Column("cost", Double, nullable=False),
)

queued_points = Table(
    "queued_points",
    metadata,
    _of("job_id", "tuning_jobs.id", primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("params", Json, nullable=False),
    Column("source", Text, nullable=False),
    # The number of the trial that took it; NULL while it waits.
    Column("trial", Integer),
    Index(
        "ix_queued_points_waiting",
        "job_id",
        "position",
        sqlite_where=text("trial IS NULL"),
        postgresql_where=text("trial IS NULL"),
    ),
)

trials = Table(
    "trials",
    metadata,
    _id(primary_key=True),
    _of("job_id", "tuning_jobs.id"),
    Column("tenant_id", String(40), nullable=False),
    Column("number", Integer, nullable=False),
    Column("params", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("source", Text, nullable=False),
    Column("value", Double),
    Column("values", Json, nullable=False, server_default=text("'{}'")),
    Column("violation", Double, nullable=False, server_default=text("0")),
    Column("metrics", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("fault", String(16), nullable=False, server_default=text("'none'")),
    Column("failure", String(40), nullable=False, server_default=text("''")),
    Column("explanation", Text, nullable=False),
    Column("tasks", Integer, nullable=False),
    # The order in which the controller took the ends in: what an algorithm's history is sorted by.
    Column("settled", Integer),
    # Its user wants it to end, for good.
    Column("stop_requested", Boolean, nullable=False, server_default=false()),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    UniqueConstraint("job_id", "number"),
    # Counts by status, and the best trials without sorting all.
    Index("ix_trials_best", "job_id", "status", "violation", "value"),
)

# What a job's algorithm learned of earlier jobs, frozen at submission.
warm_trials = Table(
    "warm_trials",
    metadata,
    _of("job_id", "tuning_jobs.id", primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("source_job", String(40), nullable=False),
    Column("params", Json, nullable=False),
    Column("losses", Json),  # NULL: it failed
    Column("violations", Json, nullable=False),
)

tuning_tasks = Table(
    "tuning_tasks",
    metadata,
    _id(primary_key=True),
    _of("trial_id", "trials.id"),
    _of("job_id", "tuning_jobs.id"),
    Column("tenant_id", String(40), nullable=False),
    Column("trial_number", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("handle", String(40), nullable=False),
    Column("cpus", Integer, nullable=False, server_default=text("1")),
    Column("gpu_share", Double, nullable=False, server_default=text("0")),
    Column("price", Double, nullable=False, server_default=text("0")),
    Column("attempt", Integer, nullable=False),
    Column("nonce", String(40), nullable=False),
    Column("host", String(255), nullable=False),
    Column("gpus", Json, nullable=False),
    Column("stop_requested", Boolean, nullable=False),
    Column("outcome", Json),
    Column("log_bytes", Integer, nullable=False),
    Column("log_problem", Text, nullable=False, server_default=text("''")),
    Column("artifact_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("peak_memory_bytes", BigInteger),
    Column("cpu_s", Double),
    # When the runner of an ended task last said that it holds its slot without a training; NULL: it does not.
    Column("parked_at", Double),
    # True from the task's end until the controller has drawn its conclusions.
    Column("unsettled", Boolean, nullable=False, server_default=false()),
    Column("created_at", Double, nullable=False),
    Column("claimed_at", Double),
    Column("heartbeat_at", Double),
    Column("measured_at", Double),  # when it last reported a measurement
    Column("ended_at", Double),
    UniqueConstraint("trial_id", "number"),
    Index("ix_tuning_tasks_job_id_status", "job_id", "status"),
    Index("ix_tuning_tasks_tenant_id_status", "tenant_id", "status"),
    Index("ix_tuning_tasks_handle", "handle"),
    Index(
        "ix_tuning_tasks_unsettled",
        "job_id",
        sqlite_where=text("unsettled"),
        postgresql_where=text("unsettled"),
    ),
    Index(
        "ix_tuning_tasks_parked_at",
        "parked_at",
        sqlite_where=text("parked_at IS NOT NULL"),
        postgresql_where=text("parked_at IS NOT NULL"),
    ),
)

measurements = Table(
    "measurements",
    metadata,
    _of("task_id", "tuning_tasks.id", primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("metric", String(200), primary_key=True),
    # NULL is nan: SQLite has no other way to keep one.
    Column("value", Double),
    Column("elapsed_s", Double, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _of("job_id", "tuning_jobs.id"),
    Column("kind", String(16), nullable=False),
    Column("data", Json, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_events_job_id_id", "job_id", "id"),
    sqlite_autoincrement=True,  # ids are never used again, also after the newest rows were deleted
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # The id of the API key or of the user that sent the request.
    Column("scope", String(40), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
