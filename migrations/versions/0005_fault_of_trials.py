"""whose fault it was that a trial failed

Revision ID: 0005
Revises: 0004
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("fault", sa.String(16), nullable=False, server_default=sa.text("'none'")))


def downgrade() -> None:
    # Not in a batch: SQLite would make the table anew, and all tasks would go with the old one.
    op.drop_column("trials", "fault")
