"""What the API answers with. Times are ISO 8601 in UTC; numbers that JSON cannot write are "nan", "inf" and "-inf"."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.domain.principal import ApiKey
from tuning_service.domain.state import JobStatus, JobTarget, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Measurement, Trial, TuningTask
from tuning_service.manager.catalogue import plugin_kind, plugin_options
from tuning_service.manager.program_mgr import Program
from tuning_service.manager.views import JobView, TrialView
from tuning_service.runner.protocol import number_to_json

Number = Annotated[
    float,
    PlainSerializer(number_to_json, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}, mode="serialization"),
]
Item = TypeVar("Item")


def moment(seconds: float) -> datetime:
    """A stored time."""
    return datetime.fromtimestamp(seconds, UTC)


def moment_or_none(seconds: float | None) -> datetime | None:
    """The same for a time that may not have come."""
    return None if seconds is None else moment(seconds)


class Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class Page(Out, Generic[Item]):
    """One page of a list. Ask for the next with `cursor=<next_cursor>`; null: there is none."""

    items: list[Item]
    next_cursor: str | None = None


class ProgramOut(Out):
    digest: str = Field(description="SHA-256 of the archive", examples=["9f86d081884c7d65…"])
    bytes: int
    files: list[str] = Field(examples=[["train.py"]])
    created_at: datetime

    @classmethod
    def of(cls, program: Program) -> "ProgramOut":
        return cls(
            digest=program.digest,
            bytes=program.bytes,
            files=list(program.files),
            created_at=moment(program.created_at),
        )


class ProgressOut(Out):
    total: int = Field(description="Trials asked for")
    queued: int
    running: int
    completed: int
    failed: int
    stopped: int
    done: int = Field(description="Completed and failed")
    best_value: Number | None = Field(description="null with several objectives")
    best_trial: int | None
    best_feasible: bool = Field(description="false: no trial meets the metric constraints, and the best is the nearest")
    front_size: int | None = Field(description="Trials on the Pareto front; null with one objective")
    seconds_left: float | None = Field(description="Estimate; null while there is nothing to estimate from")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "total": 24,
                    "queued": 0,
                    "running": 2,
                    "completed": 9,
                    "failed": 1,
                    "stopped": 0,
                    "done": 10,
                    "best_value": 0.983,
                    "best_trial": 4,
                    "best_feasible": True,
                    "front_size": None,
                    "seconds_left": 41.0,
                }
            ]
        }
    )


class ByModelOut(Out):
    trial: int = Field(
        description="The trial that is best by the algorithm's model, which allows for noise", examples=[4]
    )
    value: Number = Field(description="What the model expects of it", examples=[0.981])


class WarmStartOut(Out):
    job: str = Field(description="An earlier job, of those named in warm_start")
    name: str
    used: int = Field(description="Trials that the algorithm learned from")
    unused: dict[str, int] = Field(
        description="Why others were not used, and how many", examples=[{"lr was out of range": 3}]
    )
    assumed: dict[str, bool | int | float | str] = Field(
        description="Values given to parameters that the earlier trials did not have", examples=[{"depth": 4}]
    )
    ignored: list[str] = Field(
        description="Parameters of the earlier job that are not searched any more", examples=[["momentum"]]
    )


class JobOut(Out):
    id: str = Field(examples=["job_01k9b0m3r1x5v7t2c4n6p8q0sw"])
    name: str
    framework: str
    status: JobStatus = Field(description="Where the job is")
    target: JobTarget = Field(description="Where it has been asked to go")
    reason: str = Field(description="Why it is where it is, for people")
    owner: str = Field(
        description="Id of the key or user that submitted it", examples=["key_01k9b0m3r1x5v7t2c4n6p8q0sw"]
    )
    owner_name: str = Field(description="Its name then, also after the key was revoked or the user deleted")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cost: float = Field(description="Of its GPU-hours so far, at the prices of its pool", examples=[3.75])
    gpu_hours: float = Field(description="So far, what runs included")
    cpu_hours: float = Field(description="The same for CPUs")
    spec: dict[str, Any] = Field(description="The job file, with all defaults")
    progress: ProgressOut
    queued_points: int = Field(description="Points that are tried next, before what the algorithm suggests")
    by_model: ByModelOut | None = Field(description="null before the algorithm's model was asked, or without a model")
    warm_start_report: list[WarmStartOut] = Field(description="What became of the trials of earlier jobs")

    @classmethod
    def of(cls, view: JobView) -> "JobOut":
        job = view.job
        return cls(
            id=job.id,
            name=job.spec.name,
            framework=job.spec.framework,
            status=job.status,
            target=job.target,
            reason=job.reason,
            owner=job.owner,
            owner_name=job.owner_name,
            created_at=moment(job.created_at),
            started_at=moment_or_none(job.started_at),
            ended_at=moment_or_none(job.ended_at),
            cost=view.used.cost,
            gpu_hours=view.used.gpu_hours,
            cpu_hours=view.used.cpu_hours,
            spec=job.spec.to_dict(),
            progress=progress_out(view),
            queued_points=job.queued_points,
            by_model=_by_model(view),
            warm_start_report=[WarmStartOut(**entry) for entry in job.warm_start_report],
        )


def _by_model(view: JobView) -> ByModelOut | None:
    trial, value = view.job.model_best_trial, view.job.model_best_value
    return None if trial is None or value is None else ByModelOut(trial=trial, value=value)


def progress_out(view: JobView) -> ProgressOut:
    """A job in numbers."""
    progress = view.progress
    names = (name for name in ProgressOut.model_fields if name != "done")
    return ProgressOut(done=progress.done, **{name: getattr(progress, name) for name in names})


class _TrialBase(Out):
    number: int = Field(description="Counts from 0 within the job")
    id: str
    status: TrialStatus
    stop_requested: bool = Field(description="It shall end, for good, while its job goes on")
    params: dict[str, bool | int | float | str] = Field(examples=[{"lr": 0.0123, "optimizer": "sgd"}])
    value: Number | None = Field(description="The objective; of several the first")
    values: dict[str, Number] = Field(
        description="What counts of each objective and each constraint's metric", examples=[{"val_accuracy": 0.983}]
    )
    feasible: bool = Field(description="false: it violates a metric constraint")
    metrics: dict[str, Number] = Field(
        description="Last value of each; of a running trial so far", examples=[{"val_accuracy": 0.983}]
    )
    reason: str = Field(description="Why it failed or was stopped")
    fault: FaultKind = Field(
        description="Of a failed trial: whose fault it was; infeasible: its configuration cannot be trained at all"
    )
    failure: str = Field(description="Of a failed trial: how it failed, in a word", examples=["out of memory"])
    explanation: str = Field(description="What was looked for in the log, and what came near")
    source: str = Field(description="Who proposed it, when that differs from the job's algorithm")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_s: float | None


class TrialOut(_TrialBase):
    tasks: int = Field(description="How many executions it has had")

    @classmethod
    def of(cls, trial: Trial, now: float) -> "TrialOut":
        return cls(tasks=trial.tasks, **_trial_fields(trial, now))


class OutcomeOut(Out):
    status: TaskStatus
    fault: FaultKind = Field(description="Whose fault it was")
    failure: str = Field(description="How it failed, in a word", examples=["out of memory"])
    exit_code: int | None = Field(description="Negative: ended by that signal")
    reason: str
    explanation: str
    log_tail: str
    elapsed_s: float


class TaskOut(Out):
    """One execution of a trial."""

    id: str
    number: int = Field(description="Counts from 0 within the trial")
    status: TaskStatus
    attempt: int = Field(description="Spark's attempt number; -1 before a runner has claimed the task")
    host: str
    gpus: list[str]
    stop_requested: bool
    outcome: OutcomeOut | None
    log_bytes: int
    log_problem: str = Field(description="Why a part of its log is missing")
    artifact_bytes: int = Field(description="Of the files that it left")
    peak_memory_bytes: int | None = Field(description="Of the training with all that it started; null: not known")
    cpu_s: float | None = Field(description="Seconds of CPU of all its processes so far; null: not known")
    created_at: datetime
    claimed_at: datetime | None
    heartbeat_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, task: TuningTask) -> "TaskOut":
        made = {"gpus", "outcome", "created_at", "claimed_at", "heartbeat_at", "ended_at"}
        fields: dict[str, Any] = {name: getattr(task, name) for name in cls.model_fields if name not in made}
        for name in ("created_at", "claimed_at", "heartbeat_at", "ended_at"):
            fields[name] = moment_or_none(getattr(task, name))
        outcome = None
        if task.outcome is not None:
            outcome = OutcomeOut(**{name: getattr(task.outcome, name) for name in OutcomeOut.model_fields})
        return cls(gpus=list(task.gpus), outcome=outcome, **fields)


class TrialDetail(_TrialBase):
    tasks: list[TaskOut] = Field(description="Its executions, oldest first")

    @classmethod
    def of(cls, view: TrialView, now: float) -> "TrialDetail":
        return cls(tasks=[TaskOut.of(task) for task in view.tasks], **_trial_fields(view.trial, now))


def _trial_fields(trial: Trial, now: float) -> dict[str, Any]:
    elapsed = None
    if trial.started_at is not None:
        end = trial.ended_at if trial.ended_at is not None else now
        elapsed = max(0.0, end - trial.started_at)
    same = ("number", "id", "status", "value", "feasible", "reason", "fault", "failure", "explanation", "source")
    return {name: getattr(trial, name) for name in same} | {
        "stop_requested": trial.stop_requested,
        "params": dict(trial.params),
        "values": dict(trial.values),
        "metrics": dict(trial.metrics),
        "created_at": moment(trial.created_at),
        "started_at": moment_or_none(trial.started_at),
        "ended_at": moment_or_none(trial.ended_at),
        "elapsed_s": elapsed,
    }


class MeasurementOut(Out):
    step: int
    metric: str
    value: Number = Field(examples=[0.983])
    elapsed_s: float = Field(description="Since the training process began", examples=[12.5])

    @classmethod
    def of(cls, point: Measurement) -> "MeasurementOut":
        return cls(step=point.step, metric=point.metric, value=point.value, elapsed_s=point.elapsed_s)


class AlgorithmOut(Out):
    name: str = Field(examples=["random"])
    kind: str = Field("built-in", description="built-in, plugin (the tenant's own) or operator-plugin")
    version: str = Field("", description="Of a plug-in: the newest that is ready")
    versions: list[str] = Field([], description="Of a plug-in: all, oldest first")
    status: PluginStatus = Field(PluginStatus.READY, description="Only what is ready can be used")
    problem: str = Field("", description="Why it is not ready")
    summary: str = Field(examples=["Independent draws over the whole space."])
    most_objectives: int = Field(1, description="How many objectives it can search for at once")
    takes_constraints: bool = Field(False, description="Takes limits on metrics into account")
    options: dict[str, Any] = Field(description="JSON schema of its options", examples=[{"properties": {}}])


class PluginOut(Out):
    name: str = Field(examples=["simulated_annealing"])
    version: str = Field(examples=["1.0.0"])
    summary: str
    kind: str = Field(description="plugin (the tenant's own) or operator-plugin")
    interface: str = Field(description="hpt, or dli for the older one")
    status: PluginStatus
    reason: str = Field(description="What is being done, or why it failed")
    digest: str = Field(description="SHA-256 of its files, packed in one way")
    bytes: int
    options: dict[str, Any] = Field(description="JSON schema of its options")
    requirements: list[str] = Field(description="Packages in its own environment")
    created_at: datetime

    @classmethod
    def of(cls, plugin: Plugin) -> "PluginOut":
        same = ("name", "version", "interface", "status", "reason", "digest", "bytes")
        return cls(
            **{name: getattr(plugin, name) for name in same},
            summary=plugin.manifest.get("summary", ""),
            kind=plugin_kind(plugin),
            options=plugin_options(plugin),
            requirements=plugin.manifest.get("requirements", []),
            created_at=moment(plugin.created_at),
        )


class FrameworkOut(Out):
    name: str = Field(examples=["pytorch"])
    summary: str = Field(examples=["a PyTorch program; metrics from JSON lines and name=value prints"])


class KeyIn(BaseModel):
    name: str = Field(examples=["notebook"])
    role: Role
    tenant: str | None = Field(None, description="Id or name; for operators, others make keys of their own tenant")
    expires_at: Annotated[datetime, Field(examples=["2031-01-01T00:00:00Z"])] | None = Field(
        None, description="With a time zone; null: never"
    )

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "notebook", "role": "member", "tenant": "vision"}]}
    )


class KeyOut(Out):
    id: str = Field(examples=["key_01k9b0m3r1x5v7t2c4n6p8q0sw"])
    tenant_id: str | None = Field(description="null: an operator's key", examples=["ten_01k9b0m3r1x5v7t2c4n6p8q0sw"])
    name: str = Field(examples=["notebook"])
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        return cls(**_key_fields(key))


class NewKeyOut(KeyOut):
    secret: str = Field(description="The key itself: shown here and never again", examples=["tsk_key_01….…"])

    @classmethod
    def with_secret(cls, key: ApiKey, secret: str) -> "NewKeyOut":
        return cls(secret=secret, **_key_fields(key))


def _key_fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant_id": key.tenant_id,
        "name": key.name,
        "role": key.role,
        "created_at": moment(key.created_at),
        "expires_at": moment_or_none(key.expires_at),
        "revoked_at": moment_or_none(key.revoked_at),
    }
