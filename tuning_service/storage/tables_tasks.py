"""Tables of what executions leave beside measurements and logs. The same metadata as `tables`."""

from sqlalchemy import BigInteger, Column, Double, ForeignKey, String, Table

from tuning_service.storage.tables import Json, metadata


def _task() -> Column[str]:
    return Column(
        "task_id", String(40), ForeignKey("tuning_tasks.id", ondelete="CASCADE"), primary_key=True, nullable=False
    )


task_resources = Table(
    "task_resources",
    metadata,
    _task(),
    # By name, a list with a value for each sample; see resources.py.
    Column("samples", Json, nullable=False),
)

task_artifacts = Table(
    "task_artifacts",
    metadata,
    _task(),
    Column("path", String(512), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)
