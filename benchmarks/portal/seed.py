"""Jobs, trials and measurements straight into the tables: what would take a cluster hours is there within a minute.

All is made up from a seed: the same arguments give the same trials. Curves rise as 1 - a·step^-b with
a little noise, so that trials differ, cross each other and have a best one. Rows are those that a finished run leaves;
events and logs are left out.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, insert

from tuning_service.domain.ids import new_id
from tuning_service.domain.job import JobSpec, TuningJob
from tuning_service.domain.state import JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import Outcome, Trial, TuningTask
from tuning_service.manager.job_file import parse_job_file
from tuning_service.storage.rows import job_values, task_values, trial_values
from tuning_service.storage.tables import programs, trials, tuning_jobs, tuning_tasks

METRIC = "val_accuracy"
PROGRAM = "0" * 64  # a digest; nothing is stored under it
SPEC: Mapping[str, Any] = {
    "name": "digits",
    "framework": "pytorch",
    "program": PROGRAM,
    "command": "python train.py",
    "space": {
        "lr": {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"},
        "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
        "batch_size": {"type": "int", "min": 16, "max": 256, "scale": "log"},
        "dropout": {"type": "float", "min": 0.0, "max": 0.7},
        "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
    },
    "objective": {"metric": METRIC, "goal": "maximize"},
    "algorithm": {"name": "random"},
    "budget": {"trials": 100, "parallel": 4},
}
STATES = (JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED)
Point = tuple[str, int, str, float, float]  # task_id, step, metric, value, elapsed_s


def params(draw: random.Random) -> dict[str, Any]:
    """A configuration of the space in SPEC."""
    chosen: dict[str, Any] = {
        "lr": 10 ** draw.uniform(-4, -0.53),
        "optimizer": draw.choice(["sgd", "adam"]),
        "batch_size": 2 ** draw.randrange(4, 9),
        "dropout": draw.uniform(0, 0.7),
    }
    if chosen["optimizer"] == "sgd":
        chosen["momentum"] = draw.uniform(0, 0.99)
    return chosen


def curve(draw: random.Random, points: int) -> list[float]:
    """A learning curve of so many points."""
    reach, pace, noise = draw.uniform(0.3, 0.9), draw.uniform(0.2, 0.6), draw.uniform(0.001, 0.01)
    shakes = np.random.default_rng(draw.getrandbits(32)).random(points)
    found: list[float] = (1 - reach * np.arange(1.0, points + 1) ** -pace - noise * shakes).tolist()
    return found


def seed_job(
    engine: Engine,
    tenant_id: str,
    owner: str,
    *,
    trials: int,
    points: int = 1,
    name: str = "digits",
    status: JobStatus = JobStatus.COMPLETED,
    spec: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> str:
    """A job with so many completed trials of so many measurements each is stored; its id.

    `engine` is SQLite's: measurements go through its driver, a million in some seconds. `owner` is a key's id. A
    running job has no controller: nothing moves it on.
    """
    draw = random.Random(seed)
    now = time.time()
    wanted = spec_of({"budget": {"trials": max(trials, 1), "parallel": 4}, **(spec or {}), "name": name})
    job = job_of(tenant_id, owner, wanted, status, now - trials - 60)
    job_trials, job_tasks, rows = [], [], []
    for number in range(trials):
        values = curve(draw, points)
        trial, task = trial_of(job, number, params(draw), values[-1], job.created_at + number)
        job_trials.append({**trial_values(trial), "settled": number})
        job_tasks.append(task_values(task))
        rows += [(task.id, step, METRIC, value, step * 0.01) for step, value in enumerate(values, 1)]
        if len(rows) > 500_000:
            store(engine, [job], job_trials, job_tasks, rows)
            job_trials, job_tasks, rows = [], [], []
    store(engine, [job], job_trials, job_tasks, rows)
    return job.id


def seed_jobs(engine: Engine, tenant_id: str, owner: str, *, count: int, trials: int = 5, seed: int = 0) -> None:
    """So many ended jobs with so many trials of one measurement each, an hour between one and the next."""
    draw = random.Random(seed)
    now = time.time()
    spec = spec_of({"budget": {"trials": max(trials, 1), "parallel": 1}})
    jobs, job_trials, job_tasks, rows = [], [], [], []
    for number in range(count):
        wanted = replace(spec, name=f"digits {number}")
        job = job_of(tenant_id, owner, wanted, draw.choice(STATES), now - 3600 * (count - number))
        jobs.append(job)
        for trial_number in range(trials):
            value = draw.random()
            trial, task = trial_of(job, trial_number, params(draw), value, job.created_at + trial_number)
            job_trials.append({**trial_values(trial), "settled": trial_number})
            job_tasks.append(task_values(task))
            rows.append((task.id, 1, METRIC, value, 1.0))
        if len(job_trials) >= 20_000 or number == count - 1:
            store(engine, jobs, job_trials, job_tasks, rows)
            jobs, job_trials, job_tasks, rows = [], [], [], []


def spec_of(changes: Mapping[str, Any]) -> JobSpec:
    """SPEC with these changes of the job file."""
    return parse_job_file({**SPEC, **changes}).to_spec()


def job_of(tenant_id: str, owner: str, spec: JobSpec, status: JobStatus, at: float) -> TuningJob:
    """A job that was submitted then."""
    over = status in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED}
    return TuningJob(
        id=new_id("job"),
        tenant_id=tenant_id,
        spec=spec,
        status=status,
        target=JobTarget.STOPPED if status is JobStatus.STOPPED else JobTarget.RUNNING,
        reason="every trial failed" if status is JobStatus.FAILED else "",
        owner=owner,
        created_at=at,
        started_at=None if status is JobStatus.CREATED else at + 1,
        ended_at=at + 1800 if over else None,
        running_since=at + 1 if status is JobStatus.RUNNING else None,
    )


def trial_of(
    job: TuningJob, number: int, chosen: Mapping[str, Any], value: float, at: float
) -> tuple[Trial, TuningTask]:
    """A completed trial with its only execution, which took 50 seconds."""
    trial = Trial(
        id=new_id("trial"),
        job_id=job.id,
        tenant_id=job.tenant_id,
        number=number,
        params=chosen,
        status=TrialStatus.COMPLETED,
        value=value,
        values={METRIC: value},
        metrics={METRIC: value},
        tasks=1,
        created_at=at,
        started_at=at,
        ended_at=at + 50,
    )
    task_id = new_id("task")
    task = TuningTask(
        id=task_id,
        trial_id=trial.id,
        job_id=job.id,
        tenant_id=job.tenant_id,
        trial_number=number,
        number=0,
        status=TaskStatus.SUCCEEDED,
        handle=task_id,
        attempt=0,
        host=f"worker-{number % 4}",
        outcome=Outcome(status=TaskStatus.SUCCEEDED, exit_code=0, elapsed_s=50.0),
        created_at=at,
        claimed_at=at,
        heartbeat_at=at + 50,
        ended_at=at + 50,
    )
    return trial, task


def store(
    engine: Engine,
    jobs: list[TuningJob],
    job_trials: list[dict[str, Any]],
    job_tasks: list[dict[str, Any]],
    points: list[Point],
) -> None:
    """All of it on SQLite, jobs only where they are not there yet."""
    program = {"digest": PROGRAM, "bytes": 0, "files": [], "created_at": 0.0}
    with engine.begin() as connection:
        connection.execute(
            insert(programs).prefix_with("OR IGNORE"), [{**program, "tenant_id": job.tenant_id} for job in jobs[:1]]
        )
        connection.execute(insert(tuning_jobs).prefix_with("OR IGNORE"), [job_values(job) for job in jobs])
        if job_trials:
            store_trials(connection, job_trials, job_tasks)
        store_points(connection, points)


def store_trials(connection: Connection, job_trials: list[dict[str, Any]], job_tasks: list[dict[str, Any]]) -> None:
    """On any database, as `store_points`."""
    connection.execute(insert(trials), job_trials)
    connection.execute(insert(tuning_tasks), job_tasks)


def store_points(connection: Connection, points: list[Point]) -> None:
    """Through the database's driver: there may be five million, for which SQLAlchemy would take minutes."""
    marks = ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * 5)
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.cursor().executemany(
        f"INSERT INTO measurements (task_id, step, metric, value, elapsed_s) VALUES ({marks})", points
    )
