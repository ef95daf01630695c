"""What the use cases of tuning answer with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tuning_service.domain.job import JobSpec, Progress, TuningJob
from tuning_service.domain.principal import Usage
from tuning_service.domain.trial import Trial, TuningTask


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job with its numbers."""

    job: TuningJob
    progress: Progress
    used: Usage = field(default_factory=Usage)  # `cpu_hours`, `gpu_hours` and `cost`, of all time


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """A trial with all its executions, oldest first."""

    trial: Trial
    tasks: Sequence[TuningTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestView:
    """The best completed trials, best first, as observed; and the best by the algorithm's model, if it has one."""

    trials: Sequence[Trial]
    by_model: Trial | None = None
    model_value: float | None = None  # what the model expects of it, in the user's own sign
    note: str = ""  # what has to be known of the order, for people

    @staticmethod
    def note_on(spec: JobSpec, trials: Sequence[Trial]) -> str:
        """What has to be known of `trials` that are said to be the best."""
        notes = []
        if trials and not trials[0].feasible:
            notes.append("No completed trial meets the metric_constraints: the nearest to them come first.")
        if len(spec.objectives) > 1:
            notes.append(f"By the first objective, {spec.objective.metric}, alone: the front weighs all.")
        return " ".join(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontView:
    """The Pareto front, or the first part of it: best first by the first objective."""

    trials: Sequence[Trial]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """Bytes of one task's log from `start`. `complete`: the task has ended, so `total` will not grow."""

    data: bytes
    start: int
    total: int
    complete: bool
