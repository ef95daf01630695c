"""What is no mistake in a job file, and may be other than its user thinks."""

from collections.abc import Iterator, Sequence

from tuning_service.compute.base import Capacity
from tuning_service.domain.job import JobSpec, Resources
from tuning_service.domain.pool import ControllerSeen, Pool
from tuning_service.manager.pool_mgr import trouble


def notes_on(
    spec: JobSpec, pool: Pool | None, controllers: Sequence[ControllerSeen], size: int | None, now: float
) -> Iterator[str]:
    """`pool`: where the job would go, with its controllers; `size`: how many configurations there are, if finite."""
    budget = spec.budget
    if budget.note:
        yield budget.note
    if size is not None and size < budget.trials:
        yield f"budget.trials is {budget.trials:,}, and no more than {size:,} configurations can be tried."
    if pool is None:
        return
    room = _room(pool, controllers, spec.resources, now)
    wait = trouble(pool.name, controllers, now)
    if pool.drained:
        wait = f"the pool {pool.name!r} is drained."
    elif not room and not wait:
        size_of_trial = f"{spec.resources.cpus} CPUs and {spec.resources.gpus:g} GPUs"
        wait = f"the pool {pool.name!r} has no room for a trial of {size_of_trial}."
    if wait:
        yield f"It would wait now: {wait}"
    elif room < min(budget.parallel, budget.trials):
        yield f"budget.parallel is {budget.parallel:,}, and the pool {pool.name!r} has room for {room:,} such trials."


def _room(pool: Pool, controllers: Sequence[ControllerSeen], resources: Resources, now: float) -> int:
    """How many such trials run at once when nothing else does: all of a job run on one controller's executors."""
    has = [(c.cpus, c.gpus) for c in controllers if c.is_alive(now) and c.connected] if pool.stated is None else []
    return max(
        Capacity(cpus=cpus, gpus=gpus, largest_cpus=cpus, largest_gpus=gpus).slots(resources)
        for cpus, gpus in has or [pool.stated or (0, 0)]
    )
