"""weights, quotas, what tenants have used, and pools

Revision ID: 0006
Revises: 0005
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
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
    op.add_column("tuning_tasks", sa.Column("price", sa.Double(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "tuning_jobs", sa.Column("pool", sa.String(length=64), server_default=sa.text("'default'"), nullable=False)
    )
    op.create_table(
        "pools",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("master", sa.Text(), nullable=False),
        sa.Column("conf", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=True),
        sa.Column("cpus_per_slot", sa.Integer(), nullable=False),
        sa.Column("gpus_per_slot", sa.Integer(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("tenants", sa.Text(), nullable=True),
        sa.Column("drained", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pools")),
    )
    # The one that jobs so far are in. Its first controller says which master it has.
    op.execute(
        "INSERT INTO pools (name, master, conf, cpus_per_slot, gpus_per_slot, price, drained, created_at)"
        " VALUES ('default', '', '{}', 1, 0, 0, false, 0)"
    )
    op.create_table(
        "controllers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("pool", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("lease_s", sa.Double(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("cpus", sa.Integer(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controllers")),
    )
    op.create_table(
        "usage",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("pool", sa.String(length=64), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("cpu_s", sa.Double(), nullable=False),
        sa.Column("gpu_s", sa.Double(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_usage_tenant_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "month", "pool", name=op.f("pk_usage")),
    )


def downgrade() -> None:
    op.drop_table("usage")
    op.drop_table("controllers")
    op.drop_table("pools")
    op.drop_column("tuning_jobs", "pool")
    op.drop_column("tuning_tasks", "price")
    op.drop_column("tuning_tasks", "gpu_share")
    op.drop_column("tuning_tasks", "cpus")
    for name in reversed(_LIMITS):
        op.drop_column("tenants", name)
    op.drop_column("tenants", "weight")
