"""what executions use over time, and the files that they leave

Revision ID: 0010
Revises: 0009
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "task_resources",
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("samples", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tuning_tasks.id"], name=op.f("fk_task_resources_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_task_resources")),
    )
    op.create_table(
        "task_artifacts",
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tuning_tasks.id"], name=op.f("fk_task_artifacts_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "path", name=op.f("pk_task_artifacts")),
    )
    op.add_column("tuning_tasks", sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True))
    op.add_column("tuning_tasks", sa.Column("cpu_s", sa.Double(), nullable=True))
    op.add_column(
        "tuning_tasks", sa.Column("artifact_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )


def downgrade() -> None:
    for column in ("artifact_bytes", "cpu_s", "peak_memory_bytes"):
        op.drop_column("tuning_tasks", column)
    op.drop_table("task_artifacts")
    op.drop_table("task_resources")
