"""The table of reduced learning curves: made from measurements, and made again when missing."""

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table

from tuning_service.storage.tables import metadata

# Of executions that have ended, with many measurements of the metric. `data` is as analysis/curves.py writes it.
curves = Table(
    "curves",
    metadata,
    Column("task_id", String(40), ForeignKey("tuning_tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("metric", String(200), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
