"""executors that are left out, and more of how trials failed

Revision ID: 0007
Revises: 0006
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cordons",
        sa.Column("pool", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("pool", "host", name=op.f("pk_cordons")),
    )
    op.add_column("controllers", sa.Column("skew_s", sa.Double(), server_default=sa.text("0"), nullable=False))
    op.add_column("trials", sa.Column("failure", sa.String(length=40), server_default=sa.text("''"), nullable=False))
    op.add_column("tuning_tasks", sa.Column("log_problem", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("tuning_tasks", sa.Column("parked_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_tuning_tasks_parked_at",
        "tuning_tasks",
        ["parked_at"],
        sqlite_where=sa.text("parked_at IS NOT NULL"),
        postgresql_where=sa.text("parked_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_tuning_tasks_parked_at", table_name="tuning_tasks")
    op.drop_column("tuning_tasks", "parked_at")
    op.drop_column("tuning_tasks", "log_problem")
    op.drop_column("trials", "failure")
    op.drop_column("controllers", "skew_s")
    op.drop_table("cordons")
