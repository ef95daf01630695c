"""checks of plug-ins, the one that runs too; lists of jobs are searched in an index

Revision ID: 0013
Revises: 0012
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels = None
depends_on = None

_LISTED = ["tenant_id", "created_at", "id", "status", "framework", "algorithm", "pool"]


def upgrade() -> None:
    op.create_table(
        "plugin_checks",
        sa.Column("plugin_id", sa.String(length=40), nullable=False),
        sa.Column("run", sa.String(length=40)),
        sa.Column("began_at", sa.Double()),
        sa.Column("seen_at", sa.Double()),
        sa.Column("ended_at", sa.Double()),
        sa.Column("results", sa.Text()),
        sa.ForeignKeyConstraint(
            ["plugin_id"], ["plugins.id"], name=op.f("fk_plugin_checks_plugin_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plugin_id", name=op.f("pk_plugin_checks")),
    )
    _index([*_LISTED, "name", "owner_name"])


def _index(columns: list[str]) -> None:
    op.drop_index("ix_tuning_jobs_list", table_name="tuning_jobs")
    op.create_index("ix_tuning_jobs_list", "tuning_jobs", columns)


def downgrade() -> None:
    _index(_LISTED)
    op.drop_table("plugin_checks")
