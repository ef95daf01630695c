"""several objectives, metric constraints, warm start

Revision ID: 0002
Revises: 0001
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch, which on SQLite makes the table anew: dropping the old one would take all that refers to it along.
    op.add_column("trials", sa.Column("values", sa.Text(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("trials", sa.Column("violation", sa.Double(), nullable=False, server_default=sa.text("0")))
    op.drop_index("ix_trials_job_id_status", table_name="trials")
    op.create_index("ix_trials_best", "trials", ["job_id", "status", "violation", "value"])
    op.add_column("tuning_jobs", sa.Column("model_best_trial", sa.Integer()))
    op.add_column("tuning_jobs", sa.Column("model_best_value", sa.Double()))
    op.add_column("tuning_jobs", sa.Column("warm_start_report", sa.Text()))
    op.create_table(
        "warm_trials",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_job", sa.String(40), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("losses", sa.Text()),
        sa.Column("violations", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["tuning_jobs.id"], name=op.f("fk_warm_trials_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_warm_trials")),
    )
    _name_values()


def _name_values() -> None:
    """Values of trials so far, which had one objective, under that objective's name."""
    connection = op.get_bind()
    jobs = sa.table("tuning_jobs", sa.column("id"), sa.column("spec"))
    trials = sa.table("trials", *map(sa.column, ("id", "job_id", "value", "values")))
    for job_id, spec in connection.execute(sa.select(jobs.c.id, jobs.c.spec)).all():
        metric = json.loads(spec)["objective"]["metric"]
        valued = connection.execute(
            sa.select(trials.c.id, trials.c.value).where(trials.c.job_id == job_id, trials.c.value.is_not(None))
        )
        rows = [{"trial": trial_id, "named": json.dumps({metric: value})} for trial_id, value in valued]
        if rows:
            named = sa.update(trials).where(trials.c.id == sa.bindparam("trial")).values(values=sa.bindparam("named"))
            connection.execute(named, rows)


def downgrade() -> None:
    op.drop_table("warm_trials")
    for name in ("warm_start_report", "model_best_value", "model_best_trial"):
        op.drop_column("tuning_jobs", name)
    op.drop_index("ix_trials_best", table_name="trials")
    op.create_index("ix_trials_job_id_status", "trials", ["job_id", "status"])
    op.drop_column("trials", "violation")
    op.drop_column("trials", "values")
