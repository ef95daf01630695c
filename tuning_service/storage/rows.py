"""Rows to domain values and back."""

import math
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy.engine import Row

from tuning_service.domain.job import JobSpec, TuningJob
from tuning_service.domain.pool import POOL_FIELDS, ControllerSeen, Cordon, Pool
from tuning_service.domain.principal import QUOTAS, ApiKey, Tenant
from tuning_service.domain.state import JobStatus, JobTarget, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Measurement, Observation, QueuedPoint, Trial, TuningTask
from tuning_service.runner.protocol import number_to_json, outcome_from_json

AnyRow = Row[Any]


def tenant_from(row: AnyRow) -> Tenant:
    return Tenant(id=row.id, name=row.name, created_at=row.created_at, **{name: getattr(row, name) for name in QUOTAS})


def key_from(row: AnyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def pool_from(row: AnyRow) -> Pool:
    values = {name: getattr(row, name) for name in ("name", "created_at", *POOL_FIELDS)}
    return Pool(**values | {"tenants": None if row.tenants is None else tuple(row.tenants)})


def controller_from(row: AnyRow) -> ControllerSeen:
    return ControllerSeen(**{field.name: getattr(row, field.name) for field in fields(ControllerSeen)})


def cordon_from(row: AnyRow) -> Cordon:
    return Cordon(**{field.name: getattr(row, field.name) for field in fields(Cordon)})


def params_key(params: dict[str, Any]) -> str:
    """Equal for equal parameters."""
    return orjson.dumps(params, option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(maxsize=512)
def _spec_from(text: str) -> JobSpec:
    # A spec seldom changes and its job is loaded many times a second, so each text is built once.
    return JobSpec.from_dict(orjson.loads(text))


def job_from(row: AnyRow) -> TuningJob:
    return TuningJob(
        id=row.id,
        tenant_id=row.tenant_id,
        spec=_spec_from(row.spec),
        status=JobStatus(row.status),
        target=JobTarget(row.target),
        reason=row.reason,
        owner=row.owner,
        owner_name=row.owner_name,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        used_s=row.used_s,
        running_since=row.running_since,
        forgiven=row.forgiven,
        edits=row.edits,
        queued_points=row.queued_points,
        model_best_trial=row.model_best_trial,
        model_best_value=row.model_best_value,
        warm_start_report=tuple(row.warm_start_report or ()),
    )


def spec_values(spec: JobSpec) -> dict[str, Any]:
    """The columns that follow a change of name or budget."""
    return {"name": spec.name, "spec": orjson.dumps(spec.to_dict()).decode()}


def job_values(job: TuningJob) -> dict[str, Any]:
    return {
        name: getattr(job, name)
        for name in ("id", "tenant_id", "reason", "owner", "owner_name", "created_at", "started_at", "ended_at")
    } | {
        **spec_values(job.spec),
        "program": job.spec.program,
        "pool": job.spec.pool,
        "framework": job.spec.framework,
        "algorithm": job.spec.algorithm.name,
        "status": str(job.status),
        "target": str(job.target),
        "used_s": job.used_s,
        "running_since": job.running_since,
        "forgiven": job.forgiven,
        "model_best_trial": job.model_best_trial,
        "model_best_value": job.model_best_value,
        "warm_start_report": list(job.warm_start_report) or None,
    }


def point_from(row: AnyRow) -> QueuedPoint:
    return QueuedPoint(position=row.position, params=row.params, source=row.source, trial=row.trial)


def trial_from(row: AnyRow) -> Trial:
    return Trial(
        id=row.id,
        job_id=row.job_id,
        tenant_id=row.tenant_id,
        number=row.number,
        params=row.params,
        status=TrialStatus(row.status),
        source=row.source,
        value=row.value,
        values=row.values,
        violation=row.violation,
        metrics={name: float(value) for name, value in row.metrics.items()},
        reason=row.reason,
        fault=FaultKind(row.fault),
        failure=row.failure,
        explanation=row.explanation,
        tasks=row.tasks,
        stop_requested=row.stop_requested,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def trial_values(trial: Trial) -> dict[str, Any]:
    # Not dataclasses.asdict: it copies in depth, and this is done for every trial.
    return {name: getattr(trial, name) for name in Trial.__slots__} | {
        "params": dict(trial.params),
        "status": str(trial.status),
        "fault": str(trial.fault),
        "values": dict(trial.values),
        "metrics": {name: number_to_json(value) for name, value in trial.metrics.items()},
    }


def warm_from(row: AnyRow, number: int) -> Observation:
    return Observation(
        number=number,
        params=row.params,
        losses=None if row.losses is None else tuple(row.losses),
        violations=tuple(row.violations),
        job=row.source_job,
    )


def warm_values(job_id: str, position: int, observation: Observation) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "position": position,
        "source_job": observation.job,
        "params": dict(observation.params),
        "losses": None if observation.losses is None else list(observation.losses),
        "violations": list(observation.violations),
    }


def task_from(row: AnyRow) -> TuningTask:
    return TuningTask(
        id=row.id,
        trial_id=row.trial_id,
        job_id=row.job_id,
        tenant_id=row.tenant_id,
        trial_number=row.trial_number,
        number=row.number,
        status=TaskStatus(row.status),
        handle=row.handle,
        cpus=row.cpus,
        gpu_share=row.gpu_share,
        price=row.price,
        attempt=row.attempt,
        host=row.host,
        gpus=tuple(row.gpus),
        stop_requested=row.stop_requested,
        outcome=None if row.outcome is None else outcome_from_json(row.outcome),
        log_bytes=row.log_bytes,
        log_problem=row.log_problem,
        artifact_bytes=row.artifact_bytes,
        peak_memory_bytes=row.peak_memory_bytes,
        cpu_s=row.cpu_s,
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        heartbeat_at=row.heartbeat_at,
        ended_at=row.ended_at,
    )


def task_values(task: TuningTask) -> dict[str, Any]:
    values = {name: getattr(task, name) for name in TuningTask.__slots__}
    return values | {
        "status": str(task.status),
        "gpus": list(task.gpus),
        "outcome": None if task.outcome is None else asdict(task.outcome),
        "nonce": "",
    }


def measurement_from(row: AnyRow) -> Measurement:
    return Measurement(
        step=row.step,
        metric=row.metric,
        value=math.nan if row.value is None else row.value,
        elapsed_s=row.elapsed_s,
    )


def value_to_column(value: float) -> float | None:
    """NULL stands for nan."""
    return None if math.isnan(value) else value
