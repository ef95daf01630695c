"""several objectives and metric constraints

Revision ID: 0002
Revises: 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("trials") as table:
        table.add_column(sa.Column("values", sa.Text(), nullable=False, server_default=sa.text("'{}'")))
        table.add_column(sa.Column("feasible", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    with op.batch_alter_table("trials") as table:
        table.drop_column("feasible")
        table.drop_column("values")
