"""lists of jobs by framework, algorithm and cost; budgets that change; trials that are stopped one by one

Revision ID: 0009
Revises: 0008
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels = None
depends_on = None

_JOBS = sa.table("tuning_jobs", sa.column("id"), sa.column("spec"), sa.column("framework"), sa.column("algorithm"))
_AT_ONCE = 500


def upgrade() -> None:
    for column in (
        sa.Column("framework", sa.String(64), nullable=False, server_default=sa.text("''")),
        sa.Column("algorithm", sa.String(64), nullable=False, server_default=sa.text("''")),
        sa.Column("edits", sa.Integer(), nullable=False, server_default=sa.text("0")),
    ):
        op.add_column("tuning_jobs", column)
    op.add_column("trials", sa.Column("stop_requested", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("tuning_tasks", sa.Column("measured_at", sa.Double()))
    op.create_table(
        "job_usage",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("cpu_s", sa.Double(), nullable=False),
        sa.Column("gpu_s", sa.Double(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["tuning_jobs.id"], name=op.f("fk_job_usage_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_usage")),
    )
    _name_frameworks_and_algorithms()
    op.execute(
        "INSERT INTO job_usage (job_id, cpu_s, gpu_s, cost) SELECT job_id, SUM(seconds * cpus),"
        " SUM(seconds * gpu_share), SUM(seconds / 3600.0 * gpu_share * price) FROM (SELECT job_id, cpus, gpu_share,"
        " price, CASE WHEN ended_at > claimed_at THEN ended_at - claimed_at ELSE 0.0 END AS seconds FROM tuning_tasks"
        " WHERE claimed_at IS NOT NULL AND ended_at IS NOT NULL) AS ended GROUP BY job_id"
    )
    # A job that has completed is wanted to rest, so that a resume changes its target.
    op.execute("UPDATE tuning_jobs SET target = 'stopped' WHERE status = 'completed' AND target = 'running'")
    op.create_index(
        "ix_tuning_jobs_list",
        "tuning_jobs",
        ["tenant_id", "created_at", "id", "status", "framework", "algorithm", "pool"],
    )


def _name_frameworks_and_algorithms() -> None:
    connection, last = op.get_bind(), ""
    while True:
        # In pieces, and by id: a database may have more jobs than memory takes specs.
        rows = connection.execute(
            sa.select(_JOBS.c.id, _JOBS.c.spec).where(_JOBS.c.id > last).order_by(_JOBS.c.id).limit(_AT_ONCE)
        ).all()
        if not rows:
            return
        specs = [(row.id, json.loads(row.spec)) for row in rows]
        connection.execute(
            sa.update(_JOBS)
            .where(_JOBS.c.id == sa.bindparam("job"))
            .values(framework=sa.bindparam("of_framework"), algorithm=sa.bindparam("of_algorithm")),
            [
                {"job": job, "of_framework": spec["framework"], "of_algorithm": spec["algorithm"]["name"]}
                for job, spec in specs
            ],
        )
        last = rows[-1].id


def downgrade() -> None:
    op.drop_index("ix_tuning_jobs_list", table_name="tuning_jobs")
    op.drop_table("job_usage")
    # Not in a batch: SQLite would make the tables anew, and what refers to their rows would go with the old ones.
    op.drop_column("tuning_tasks", "measured_at")
    op.drop_column("trials", "stop_requested")
    for name in ("edits", "algorithm", "framework"):
        op.drop_column("tuning_jobs", name)
