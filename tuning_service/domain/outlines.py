"""What charts need of trials and of their executions, and no more: jobs have thousands."""

from collections.abc import Mapping
from typing import NamedTuple

from tuning_service.domain.parameters import ParamValue


class TrialOutline(NamedTuple):
    """A trial without its texts. Fields are as those of `Trial`."""

    number: int
    params: Mapping[str, ParamValue]
    status: str
    value: float | None
    values: Mapping[str, float]
    violation: float
    created_at: float
    started_at: float | None
    ended_at: float | None
    settled: int | None  # its place in the order of ends


class TaskOutline(NamedTuple):
    """An execution without its outcome. Fields are as those of `TuningTask`."""

    id: str
    trial_number: int
    number: int
    status: str
    host: str
    gpus: tuple[str, ...]
    gpu_share: float
    price: float
    claimed_at: float | None
    ended_at: float | None

    def gpu_s(self, now: float) -> float:
        """Seconds of GPUs that it held, until now if it still holds them; nothing before a runner had it."""
        if self.claimed_at is None:
            return 0.0
        return max(0.0, (now if self.ended_at is None else self.ended_at) - self.claimed_at) * self.gpu_share

    def cost(self, now: float) -> float:
        """Of those GPU-seconds, at the price of the launch."""
        return self.gpu_s(now) / 3600.0 * self.price
