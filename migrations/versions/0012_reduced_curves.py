"""learning curves, reduced once

Revision ID: 0012
Revises: 0011
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "curves",
        sa.Column("task_id", sa.String(length=40), nullable=False),
        sa.Column("metric", sa.String(length=200), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tuning_tasks.id"], name=op.f("fk_curves_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "metric", name=op.f("pk_curves")),
    )


def downgrade() -> None:
    op.drop_table("curves")
