"""points that are tried before what the algorithm suggests

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tuning_jobs", sa.Column("queued_points", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_table(
        "queued_points",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("trial", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["job_id"], ["tuning_jobs.id"], name=op.f("fk_queued_points_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_queued_points")),
    )
    op.create_index(
        "ix_queued_points_waiting",
        "queued_points",
        ["job_id", "position"],
        sqlite_where=sa.text("trial IS NULL"),
        postgresql_where=sa.text("trial IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("queued_points")
    # Not in a batch: SQLite would make the table anew, and all trials would go with the old one.
    op.drop_column("tuning_jobs", "queued_points")
