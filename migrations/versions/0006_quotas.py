"""weights, quotas and what tenants have used

Revision ID: 0006
Revises: 0004
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0004"
branch_labels = None
depends_on = None

_LIMITS = {
    "max_gpus": sa.Double(),
    "max_gpu_hours": sa.Double(),
    "max_jobs": sa.Integer(),
    "max_storage_bytes": sa.BigInteger(),
    "max_requests_per_s": sa.Double(),
}


def upgrade() -> None:
    op.add_column("tenants", sa.Column("weight", sa.Double(), server_default=sa.text("1"), nullable=False))
    for name, kind in _LIMITS.items():
        op.add_column("tenants", sa.Column(name, kind, nullable=True))
    op.add_column("tuning_tasks", sa.Column("cpus", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column("tuning_tasks", sa.Column("gpu_share", sa.Double(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "usage",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("cpu_s", sa.Double(), nullable=False),
        sa.Column("gpu_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_usage_tenant_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "month", name=op.f("pk_usage")),
    )


def downgrade() -> None:
    op.drop_table("usage")
    op.drop_column("tuning_tasks", "gpu_share")
    op.drop_column("tuning_tasks", "cpus")
    for name in reversed(_LIMITS):
        op.drop_column("tenants", name)
    op.drop_column("tenants", "weight")
