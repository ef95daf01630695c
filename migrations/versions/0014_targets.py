"""jobs with something to do are found by their targets

Revision ID: 0014
Revises: 0013
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tuning_jobs_target", "tuning_jobs", ["target"])


def downgrade() -> None:
    op.drop_index("ix_tuning_jobs_target", table_name="tuning_jobs")
