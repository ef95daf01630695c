"""Jobs that wait at a controller whose slots are all taken, while another one of the pool has some free."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping

from tuning_service.compute.base import gpu_part
from tuning_service.control.shares import FOR_SLOTS, Demand
from tuning_service.domain.pool import ControllerSeen

PATIENCE_S = 2.0  # a slot that comes free within this time is not worth a move
KEPT_S = 30.0  # for so long a job that nobody else took is not left again
_BACK_S = 5.0


class Handover:
    """Of one controller. Slots are of its own Spark application, so a job is where its controller is.

    Only a job that runs nothing is left to others. If none of them takes it, it is taken up again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}  # when each job began to wait without running anything
        self._left: dict[str, float] = {}  # when each was left to others

    def note(self, job_id: str, demand: Demand, waiting: str) -> None:
        """What the job was told when it last asked for slots."""
        if demand.running or not waiting.startswith(FOR_SLOTS):
            self._since.pop(job_id, None)
        else:
            self._since.setdefault(job_id, self._clock())

    def forget(self, job_id: str) -> None:
        """It is not ours any more."""
        self._since.pop(job_id, None)

    @property
    def due(self) -> list[str]:
        """Jobs that have waited for so long that another controller may be better for them, longest first."""
        now = self._clock()
        self._left = {job_id: at for job_id, at in self._left.items() if now - at < KEPT_S}
        waiting = sorted((since, job_id) for job_id, since in self._since.items() if job_id not in self._left)
        return [job_id for since, job_id in waiting if now - since >= PATIENCE_S]

    @property
    def held_back(self) -> set[str]:
        """Jobs that were just left, and are for others to take."""
        now = self._clock()
        return {job_id for job_id, at in self._left.items() if now - at < _BACK_S}

    def leave(
        self,
        demands: Mapping[str, Demand],
        others: Collection[ControllerSeen],
        used: Mapping[str, tuple[int, float]],
    ) -> Iterator[str]:
        """Those of the jobs for which one of the other controllers has a free slot, by what they say and `used`."""
        free = {c.id: (c.cpus - used.get(c.id, (0, 0.0))[0], c.gpus - used.get(c.id, (0, 0.0))[1]) for c in others}
        for job_id, demand in demands.items():
            cpus, gpus = demand.resources.cpus, gpu_part(demand.resources)
            found = next((key for key, (c, g) in free.items() if c >= cpus and g >= gpus - 1e-9), None)
            if found is not None:
                c, g = free[found]
                free[found] = c - demand.wanted * cpus, g - demand.wanted * gpus
                self._left[job_id] = self._clock()
                yield job_id
