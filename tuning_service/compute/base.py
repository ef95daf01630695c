"""The contract of a compute backend. Read this first."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuning_service.domain.job import Resources
from tuning_service.runner.protocol import TaskTicket


class HandleStatus(StrEnum):
    PENDING = "pending"  # submitted; waits for a slot or runs: the task's own claim tells which
    ENDED = "ended"  # its Spark task ended, so its runner has delivered what it had or never will
    FAILED = "failed"  # its Spark job failed, since one of its tasks did too often: `failure` says why
    LOST = "lost"  # this backend does not know it, or Spark has let go of its Spark job


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the backend has in all, used or not. `largest_*`: most that one task can get, on one executor."""

    cpus: int
    gpus: int
    largest_cpus: int
    largest_gpus: int

    def slots(self, resources: Resources) -> int:
        """How many tasks of this size run at once when nothing else does; 0 when none ever can."""
        if resources.cpus > self.largest_cpus or resources.gpus > self.largest_gpus:
            return 0
        by_cpus = self.cpus // resources.cpus
        if not resources.gpus:
            return by_cpus
        return min(by_cpus, int(self.gpus / gpu_part(resources) + 1e-9))


def gpu_part(resources: Resources) -> float:
    """GPUs that a task of this size takes: of a fraction, Spark packs floor(1/fraction) tasks on each."""
    return resources.gpus if resources.gpus > 1 or not resources.gpus else 1 / int(1 / resources.gpus + 1e-9)


class ComputeBackend(ABC):
    """Runs task tickets through `tuning_service.runner` on executors.

    A handle is the task id of the ticket it was submitted with. Methods may be called from any thread, and never
    raise for a handle that is unknown. What a task achieved comes to the service from the runner, not from here:
    `poll` only tells when nothing more will come.
    """

    @abstractmethod
    def start(self) -> None:
        """Connect; returns when tasks can be submitted. Raises TryAgain when the cluster cannot be reached."""

    @abstractmethod
    def stop(self) -> None:
        """End all tasks and disconnect. May be called twice, or without `start`."""

    @abstractmethod
    def capacity(self) -> Capacity:
        """What there is now; changes as executors come and go. All zero while there is none."""

    @abstractmethod
    def submit(self, tickets: Sequence[TaskTicket], resources: Resources) -> None:
        """Start them as one Spark job with a task each; returns once handed over, not when they run.

        Raises:
            TryAgain: nothing was started; the same call may succeed later.
        """

    @abstractmethod
    def poll(self, handles: Collection[str]) -> Mapping[str, HandleStatus]:
        """The status of each; an unknown handle is LOST. May be called before `submit` has returned."""

    def failure(self, handle: str) -> str:  # noqa: ARG002  # of backends whose handles do not fail
        """Why a handle is FAILED, in Spark's words."""
        return ""

    @abstractmethod
    def cancel(self, handles: Collection[str]) -> None:
        """Ask for their end, by force: for tasks whose runner no longer answers. Returns at once."""
