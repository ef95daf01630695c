"""A tuning job as stored, and what the user asked for in it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tuning_service.domain.environment import ProgramEnvironment
from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import Params
from tuning_service.domain.pool import DEFAULT_POOL
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, JobTarget

# Beyond these a front can be neither searched nor looked at.
MOST_OBJECTIVES = 4
# By how much a limit is exceeded at most: sums and differences of larger numbers may be infinite.
_FARTHEST = 1e300
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_METRIC_CONSTRAINT = re.compile(rf"(?P<metric>(?:(?![<>]=).)+?)\s*(?P<sign><=|>=)\s*(?P<limit>{_NUMBER})")


def _require(ok: bool, where: str, message: str, remedy: str) -> None:
    if not ok:
        raise InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))


class Goal(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Arguments(StrEnum):
    """How parameters are written after a command."""

    FLAGS = "flags"  # --learning_rate 0.1
    DASHES = "dashes"  # --learning-rate 0.1
    PAIRS = "pairs"  # learning_rate=0.1
    NONE = "none"  # not at all: the program reads them elsewhere


class Summary(StrEnum):
    """How one trial's measurements of the objective become one value."""

    BEST = "best"  # the best finite one over all steps
    LAST = "last"  # the one of the highest step


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    metric: str
    goal: Goal
    summary: Summary = Summary.BEST

    def __post_init__(self) -> None:
        _require(
            bool(self.metric.strip()),
            "objective.metric",
            "is empty.",
            "Name a metric that the program prints.",
        )

    def better(self, a: float, b: float) -> bool:
        """True when value `a` is strictly better than `b`."""
        return a < b if self.goal is Goal.MINIMIZE else a > b

    def loss(self, value: float) -> float:
        """`value` with its sign turned so that less is better."""
        return value if self.goal is Goal.MINIMIZE else -value


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConstraint:
    """A metric's last value must stay on one side of a limit; written `latency_ms <= 20`.

    Of a metric that is an objective too, the value that counts there is meant.
    """

    metric: str
    upper: bool  # True: at most `limit`; False: at least
    limit: float

    @classmethod
    def parse(cls, text: str, where: str) -> "MetricConstraint":
        """The constraint that `text` writes.

        Raises:
            InvalidRequest: about the field `where`.
        """
        found = _METRIC_CONSTRAINT.fullmatch(text.strip())
        limit = float(found["limit"]) if found else math.nan
        if found is None or not math.isfinite(limit):
            raise InvalidRequest(
                FieldProblem(
                    field=where,
                    message=f"{text!r} is no constraint on a metric.",
                    remedy="Write a metric's name, <= or >=, and a number: latency_ms <= 20.",
                )
            )
        return cls(metric=found["metric"].strip(), upper=found["sign"] == "<=", limit=limit)

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        return f"{self.metric} {'<=' if self.upper else '>='} {self.limit!r}"

    def violation(self, value: float) -> float:
        """By how much `value` is on the wrong side, in the metric's unit; 0 or less when it is not. Finite."""
        over = value - self.limit if self.upper else self.limit - value
        return min(_FARTHEST, max(-_FARTHEST, over))

    def excess(self, value: float) -> float:
        """By how much `value` is on the wrong side, in parts of the limit where that is not 0; 0 when it is not."""
        return min(_FARTHEST, max(0.0, self.violation(value)) / (abs(self.limit) or 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmChoice:
    name: str
    version: str = ""  # of a plug-in; "" for what is built in
    digest: str = ""  # of that version's content; "" when not pinned
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Where a job ends. `minutes` counts while the job is running, `trial_minutes` while a training process is."""

    trials: int
    parallel: int = 1
    minutes: float | None = None
    trial_minutes: float | None = None
    failures: int = 10  # failed trials in a row after which the job gives up

    def __post_init__(self) -> None:
        for name in ("trials", "parallel", "failures"):
            value = getattr(self, name)
            _require(value >= 1, f"budget.{name}", f"must be at least 1, not {value}.", "Raise it.")
        for name in ("minutes", "trial_minutes"):
            value = getattr(self, name)
            _require(
                value is None or (math.isfinite(value) and value > 0),
                f"budget.{name}",
                f"must be above zero, not {value}.",
                "Raise it, or leave it out for no limit.",
            )

    @property
    def note(self) -> str:
        """What is no mistake in it, and may be another than was meant; "" when there is nothing."""
        if self.parallel <= self.trials:
            return ""
        return f"budget.parallel is {self.parallel:,}, which is more than budget.trials, {self.trials:,}."


_LEAST_OF_A_GPU = 0.01
_MOST = 1_000_000  # CPUs, GPUs


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one trial gets: whole CPUs (its thread count), and GPUs: a fraction of one, or a whole number."""

    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        _require(self.cpus >= 1, "resources.cpus", f"must be at least 1, not {self.cpus}.", "Raise it.")
        _require(self.cpus <= _MOST, "resources.cpus", f"must be at most {_MOST}.", "Lower it.")
        _require(
            math.isfinite(self.gpus) and self.gpus >= 0 and (self.gpus <= 1 or self.gpus == int(self.gpus)),
            "resources.gpus",
            f"{self.gpus} is neither a fraction of one GPU nor a whole number.",
            "Use 0.25, 0.5, 1, 2 …",
        )
        _require(
            not self.gpus or _LEAST_OF_A_GPU <= self.gpus <= _MOST,
            "resources.gpus",
            f"must be 0, or between {_LEAST_OF_A_GPU} and {_MOST}.",
            "Use 0.25, 0.5, 1, 2 …",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What the user asked for, valid as far as it can be known without looking anything up."""

    name: str
    framework: str
    program: str  # digest of the bundle, 64 hex digits
    command: str
    space: Space
    objectives: tuple[Objective, ...]
    algorithm: AlgorithmChoice
    budget: Budget
    resources: Resources = field(default_factory=Resources)
    pool: str = DEFAULT_POOL
    environment: ProgramEnvironment = field(default_factory=ProgramEnvironment)
    seed: int = 0
    arguments: Arguments = Arguments.FLAGS
    log_patterns: tuple[str, ...] = ()  # user regexes, tried before the framework's own formats
    log_files: tuple[str, ...] = ()  # shell patterns of files that are read like the output
    metric_constraints: tuple[MetricConstraint, ...] = ()
    stored_metrics: tuple[str, ...] = ()  # looked for in the log and kept, and guide nothing
    points: tuple[Params, ...] = ()  # complete configurations that are tried first
    warm_start: tuple[str, ...] = ()  # ids of earlier jobs whose trials the algorithm learns from

    def __post_init__(self) -> None:
        count = len(self.objectives)
        _require(count > 0, "objective", "is empty.", "Name a metric to optimise.")
        _require(
            count <= MOST_OBJECTIVES,
            "objective",
            f"has {count} entries; {MOST_OBJECTIVES} at most can be searched.",
            "Make the least important ones metric_constraints or stored_metrics.",
        )
        seen: dict[str, str] = {}
        wheres = ["objective"] if count == 1 else [f"objective.{i}" for i in range(count)]
        for where, metric in (
            *((f"{where}.metric", o.metric) for where, o in zip(wheres, self.objectives, strict=True)),
            *((f"stored_metrics.{i}", name) for i, name in enumerate(self.stored_metrics)),
        ):
            _require(metric not in seen, where, f"{metric!r} stands at {seen.get(metric)} too.", "Name it once.")
            seen[metric] = where

    @property
    def objective(self) -> Objective:
        """The first objective: the only one of most jobs."""
        return self.objectives[0]

    @property
    def required_metrics(self) -> tuple[str, ...]:
        """Metrics without which a trial has failed: of objectives, then of constraints; each once."""
        return tuple(
            dict.fromkeys([*(o.metric for o in self.objectives), *(c.metric for c in self.metric_constraints)])
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that are named in the job: the required ones first."""
        return tuple(dict.fromkeys([*self.required_metrics, *self.stored_metrics]))

    def losses(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """One for each objective, less is better, of a trial's summarised `values`. Raises KeyError."""
        return tuple(o.loss(values[o.metric]) for o in self.objectives)

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """One for each metric constraint, above zero where it is not met. Raises KeyError."""
        return tuple(c.violation(values[c.metric]) for c in self.metric_constraints)

    def excess(self, values: Mapping[str, float]) -> float:
        """How far a trial is from meeting all metric constraints, in parts of their limits; 0 when it does."""
        return sum(c.excess(values[c.metric]) for c in self.metric_constraints)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in the shape of a job file, with `program` as a digest."""
        data = {name: getattr(self, name) for name in ("name", "framework", "program", "command", "seed", "pool")}
        return data | {
            "space": self.space.to_dict(),
            "constraints": [c.text for c in self.space.constraints],
            # One objective as its author wrote it: not as a list of one.
            "objective": asdict(self.objective) if len(self.objectives) == 1 else [asdict(o) for o in self.objectives],
            "metric_constraints": [c.text for c in self.metric_constraints],
            "stored_metrics": list(self.stored_metrics),
            "points": [dict(p) for p in self.points],
            "warm_start": list(self.warm_start),
            "algorithm": _choice_to_dict(self.algorithm),
            "budget": asdict(self.budget),
            "resources": asdict(self.resources),
            "arguments": str(self.arguments),
            "environment": self.environment.to_dict(),
            "log_patterns": list(self.log_patterns),
            "log_files": list(self.log_files),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "JobSpec":
        """The spec that `to_dict` wrote."""
        written = data["objective"]
        return cls(
            **{name: data[name] for name in ("name", "framework", "program", "command", "seed")},
            space=Space.from_dict(data["space"], data.get("constraints", ())),
            objectives=tuple(
                Objective(metric=o["metric"], goal=Goal(o["goal"]), summary=Summary(o["summary"]))
                for o in (written if isinstance(written, list) else [written])
            ),
            metric_constraints=tuple(
                MetricConstraint.parse(text, f"metric_constraints.{i}")
                for i, text in enumerate(data.get("metric_constraints", ()))
            ),
            stored_metrics=tuple(data.get("stored_metrics", ())),
            points=tuple(data.get("points", ())),
            warm_start=tuple(data.get("warm_start", ())),
            pool=data.get("pool", DEFAULT_POOL),
            algorithm=AlgorithmChoice(**data["algorithm"]),
            budget=Budget(**data["budget"]),
            resources=Resources(**data["resources"]),
            arguments=Arguments(data.get("arguments", Arguments.FLAGS)),
            environment=ProgramEnvironment(**data.get("environment", {})),
            log_patterns=tuple(data["log_patterns"]),
            log_files=tuple(data.get("log_files", ())),
        )


def _choice_to_dict(choice: AlgorithmChoice) -> dict[str, Any]:
    pinned = {"digest": choice.digest} if choice.digest else {}
    return {"name": choice.name, "version": choice.version, "options": dict(choice.options)} | pinned


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJob:
    """A stored job. Times are seconds since the epoch."""

    id: str
    tenant_id: str
    spec: JobSpec
    status: JobStatus
    target: JobTarget
    reason: str  # why it is where it is, for people; "" when there is nothing to say
    owner: str  # id of the key or user that submitted it
    created_at: float
    owner_name: str = ""  # as it was then: users may go before their jobs
    started_at: float | None = None  # when a controller first took it up
    ended_at: float | None = None
    # Seconds of running before the last resume, so that `budget.minutes` counts running time only.
    used_s: float = 0.0
    running_since: float | None = None
    forgiven: int = 0  # ended trials before the last resume: their failures are not held against the job
    edits: int = 0  # how often its name or budget was changed
    queued_points: int = 0  # the user's points that have no trial yet
    # The trial that is best by the algorithm's model, which allows for noise, and the value expected of it, in the
    # user's own sign; None without a model, or before it was asked.
    model_best_trial: int | None = None
    model_best_value: float | None = None
    warm_start_report: Sequence[Mapping[str, Any]] = ()  # one for each earlier job, see domain/warm_start.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A job in numbers.

    `best_value` and `best_trial` are None until a trial completed, and with several objectives, where `front_size`
    says how many trials are on the Pareto front.
    """

    total: int
    queued: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    stopped: int = 0
    best_value: float | None = None
    best_trial: int | None = None
    best_feasible: bool = True  # False when no trial meets the metric constraints: the best is the nearest to them
    front_size: int | None = None  # None with one objective
    seconds_left: float | None = None  # estimate; None while there is nothing to estimate from

    @property
    def done(self) -> int:
        """Trials that ended for good."""
        return self.completed + self.failed
