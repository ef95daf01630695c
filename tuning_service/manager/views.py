"""What use cases answer with, where that is more than one stored value."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuning_service.domain.trial import Trial, TuningTask


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """A trial with all its executions, oldest first."""

    trial: Trial
    tasks: Sequence[TuningTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """Bytes of one task's log from `start`. `complete`: the task has ended, so `total` will not grow."""

    data: bytes
    start: int
    total: int
    complete: bool
