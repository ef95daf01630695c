"""Domain values for tests: valid, small, and changed by keyword where a test cares."""

import dataclasses
import itertools
from typing import Any

from tuning_service.domain.job import AlgorithmChoice, Budget, Goal, JobSpec, Objective, TuningJob
from tuning_service.domain.principal import Principal, Tenant
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, JobTarget, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import Trial, TuningTask
from tuning_service.storage.store import Store
from tuning_service.storage.tenant_scope import Program

DIGEST = "d" * 64
_numbers = itertools.count()


def a_spec(*, budget: Budget | None = None, **changes: Any) -> JobSpec:
    spec = JobSpec(
        name="digits",
        framework="pytorch",
        program=DIGEST,
        command="python train.py",
        space=Space.from_dict({"lr": {"type": "float", "min": 1e-4, "max": 0.1, "scale": "log"}}),
        objectives=(Objective(metric="accuracy", goal=Goal.MAXIMIZE),),
        algorithm=AlgorithmChoice(name="random"),
        budget=budget or Budget(trials=4, parallel=2),
    )
    return dataclasses.replace(spec, **changes)


def a_tenant(store: Store, name: str, *, max_parallel: int = 100) -> Principal:
    """A stored tenant with one stored program, as a principal."""
    tenant = Tenant(id=f"tenant_{name}", name=name, max_parallel=max_parallel, created_at=1.0)
    principal = Principal(key_id=f"key_{name}", role=Role.MEMBER, tenant=tenant)
    with store.write() as unit:
        unit.tenancy.add_tenant(tenant)
        program = Program(digest=DIGEST, bytes=10, files=("train.py",), created_at=1.0)
        unit.for_tenant(principal).add_program(program)
    return principal


def a_job(tenant_id: str = "tenant_a", **changes: Any) -> TuningJob:
    job = TuningJob(
        id=f"job_{next(_numbers):06d}",
        tenant_id=tenant_id,
        spec=a_spec(),
        status=JobStatus.CREATED,
        target=JobTarget.RUNNING,
        reason="",
        owner="key_a",
        created_at=1.0,
    )
    return dataclasses.replace(job, **changes)


def a_trial(job: TuningJob, number: int = 0, **changes: Any) -> Trial:
    trial = Trial(
        id=f"trial_{next(_numbers):06d}",
        job_id=job.id,
        tenant_id=job.tenant_id,
        number=number,
        params={"lr": 0.01},
        status=TrialStatus.QUEUED,
        created_at=2.0,
    )
    return dataclasses.replace(trial, **changes)


def a_task(trial: Trial, number: int = 0, **changes: Any) -> TuningTask:
    task_id = f"task_{next(_numbers):06d}"
    task = TuningTask(
        id=task_id,
        trial_id=trial.id,
        job_id=trial.job_id,
        tenant_id=trial.tenant_id,
        trial_number=trial.number,
        number=number,
        status=TaskStatus.CREATED,
        handle=task_id,
        created_at=3.0,
    )
    return dataclasses.replace(task, **changes)


def stored_job(store: Store, principal: Principal, **changes: Any) -> TuningJob:
    job = a_job(principal.tenant_id, **changes)
    with store.write() as unit:
        unit.for_tenant(principal).add_job(job)
    return job
