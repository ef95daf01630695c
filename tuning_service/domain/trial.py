"""Trials, the tasks that execute them, and what they report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.state import TaskStatus, TrialStatus

# Executions of one trial that the cluster may lose before the trial has failed.
MOST_LOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A configuration that an algorithm proposes: exactly the active parameters, in topological order."""

    params: Mapping[str, ParamValue]
    source: str = ""  # who proposed it, when that differs from the job's algorithm ("random start", say)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an algorithm learns of one ended trial.

    `losses` has one value for each objective, less is better in all; None when the trial failed or was stopped
    without finite values. `violations` has one for each metric constraint, in the metric's own unit: above zero, the
    limit is exceeded by that much. `number` is the trial's number within its job; observations arrive in any order of
    it. An observation of an earlier job (warm start) has that job's id as `job`; its losses may have another offset
    and scale, and its configuration may be tried again.
    """

    number: int
    params: Mapping[str, ParamValue]
    losses: tuple[float, ...] | None
    violations: tuple[float, ...] = ()
    job: str = ""
    # False: its end says nothing of its configuration, for the cluster or the service failed it. That it was tried
    # counts, its losses (None) do not.
    telling: bool = True

    @classmethod
    def of(cls, *, number: int, params: Mapping[str, ParamValue], loss: float | None) -> "Observation":
        """Of a trial with one objective and no constraints."""
        return cls(number=number, params=params, losses=None if loss is None else (loss,))

    @property
    def loss(self) -> float | None:
        """Of the first objective."""
        return None if self.losses is None else self.losses[0]

    @property
    def is_feasible(self) -> bool:
        """True when no metric constraint is violated."""
        return all(v <= 0 for v in self.violations)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedPoint:
    """A complete configuration that its user wants tried, before what the algorithm suggests."""

    position: int  # the order within the job; 0 is the point of the defaults
    params: Mapping[str, ParamValue]
    source: str  # "default", "point 3": what its trial says of where it came from
    trial: int | None = None  # the number of its trial; None while it waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The tried trial that an algorithm's model holds for the best, and the loss that it expects of it."""

    number: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A stored configuration under evaluation. Numbers count from 0 within the job."""

    id: str
    job_id: str
    tenant_id: str
    number: int
    params: Mapping[str, ParamValue]
    status: TrialStatus
    source: str = ""
    value: float | None = None  # the first objective, in the user's own sign
    # Summarised objectives and constraint metrics by name, in the user's own sign; empty while one is not known.
    values: Mapping[str, float] = field(default_factory=dict)
    violation: float = 0.0  # by how much metric constraints are exceeded, in parts of their limits, summed
    metrics: Mapping[str, float] = field(default_factory=dict)  # last value of each; may be nan or inf
    reason: str = ""  # one line, why it failed or was stopped
    fault: "FaultKind" = field(default_factory=lambda: FaultKind.NONE)  # of a failed trial
    failure: str = ""  # a `Failure`: in a word, how it failed
    explanation: str = ""  # many lines: what was looked for in the log, and what came near
    tasks: int = 0  # tasks so far
    stop_requested: bool = False  # it shall end, for good, while its job goes on
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def feasible(self) -> bool:
        """False when a metric constraint is violated."""
        return self.violation <= 0


class FaultKind(StrEnum):
    """Whose fault an end was. Only PROGRAM and INFEASIBLE teach the algorithm; CLUSTER and SERVICE are tried again.

    ENVIRONMENT ends the job, whose trials all need the same: it can be resumed once that is mended.
    """

    NONE = "none"
    PROGRAM = "program"  # exit code, time-out, out of memory, no metric
    INFEASIBLE = "infeasible"  # the configuration cannot be trained: known before it began, or said by the program
    CLUSTER = "cluster"  # executor lost or pre-empted, disk full, GPU gone
    SERVICE = "service"
    ENVIRONMENT = "environment"  # the executor cannot give the program the Python packages that it needs


# The faults that say nothing of a trial's configuration.
NOT_ITS_OWN = frozenset({FaultKind.CLUSTER, FaultKind.SERVICE, FaultKind.ENVIRONMENT})
# A program that ends with this exit code says that its configuration cannot be trained.
INFEASIBLE_CODE = 77


class Failure(StrEnum):
    """How an execution failed, in a word for people: finer than whose fault it was."""

    NONE = ""
    CRASHED = "crashed"  # exit code, traceback, signal
    MEMORY = "out of memory"
    GPU_MEMORY = "out of GPU memory"
    TIMED_OUT = "timed out"
    NAN = "nan"  # a required metric was never finite
    NO_METRIC = "no metric"
    INFEASIBLE = "infeasible"
    DISK = "disk full"
    GPU = "gpu failed"
    PREEMPTED = "pre-empted"
    LOST = "executor lost"
    SILENT = "silent"
    EXECUTOR = "executor"  # something else that the executor could not do
    CORDONED = "cordoned"  # it came to an executor that is left out, and was not begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an execution ended, as the runner reports it."""

    status: TaskStatus  # SUCCEEDED, FAILED, STOPPED or LOST
    fault: FaultKind = FaultKind.NONE
    failure: str = ""  # a `Failure`; of a runner of another version perhaps one that is unknown here
    exit_code: int | None = None  # negative: ended by that signal
    reason: str = ""  # one line
    explanation: str = ""  # from the log parser, when a required metric never appeared
    log_tail: str = ""  # last 100 lines
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningTask:
    """One execution of one trial. A retry, a resume and a takeover by another executor are new tasks."""

    id: str
    trial_id: str
    job_id: str
    tenant_id: str
    trial_number: int
    number: int  # counts from 0 within the trial
    status: TaskStatus
    handle: str = ""  # the compute backend's name for it; shared by tasks that one Spark task took over
    cpus: int = 1  # what it holds while it is open, as its job asked for
    gpu_share: float = 0.0
    price: float = 0.0  # of a GPU for an hour, as of its launch
    attempt: int = -1  # Spark's attempt number of the claim; -1 before the first
    host: str = ""
    gpus: tuple[str, ...] = ()
    stop_requested: bool = False  # the answer to the next report is STOP
    outcome: Outcome | None = None
    log_bytes: int = 0
    log_problem: str = ""  # why a part of its log is missing
    artifact_bytes: int = 0
    peak_memory_bytes: int | None = None  # of the training with all that it started; None: not known
    cpu_s: float | None = None
    created_at: float = 0.0
    claimed_at: float | None = None
    heartbeat_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One reported point. `elapsed_s` counts from the start of the training process; value may be nan or inf."""

    step: int
    metric: str
    value: float
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What a runner needs to execute one task: made by a `TuningFrameworkMgr`, sent to the executor as JSON.

    `argv[0]` may be "python": the runner puts the interpreter of the program's environment there. `files` are written
    into the working directory, which holds a copy of the program. `environment` is added to the executor's own.
    """

    task_id: str
    token: str  # valid for this task alone
    program: str  # digest
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    parser: Mapping[str, Any]  # what tuning_service.logs.build_parser() takes
    required: tuple[str, ...]  # metrics without which the trial has failed
    time_limit_s: float | None = None
    heartbeat_s: float = 0.5  # longest silence between two reports
    log_limit_bytes: int = 4 * 2**20  # what is uploaded: the first half and the last half of this
    context: Mapping[str, str] = field(default_factory=dict)  # tenant, job, trial, task: for log lines
    # The program's environment: {} is the executor's own Python, {"name": of the deployment, "python": path, "" when
    # there is none of that name}, {"requirements": file of the program}, or {"archive": URL of a packed environment}.
    interpreter: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()  # which that interpreter must have: top-level Python modules
    imports: tuple[str, ...] = ()  # whose absence, when a program ends because of it, is the environment's fault
    # Files of the program in which the names of `values` are replaced by their values, and JSON objects that are
    # merged over what the program has in files of that name.
    templates: tuple[str, ...] = ()
    values: Mapping[str, ParamValue] = field(default_factory=dict)
    merged: Mapping[str, Mapping[str, ParamValue]] = field(default_factory=dict)
