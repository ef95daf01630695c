"""Which execution of a trial a request is about."""

from tuning_service.domain.errors import NotFound
from tuning_service.domain.principal import Principal
from tuning_service.domain.trial import TuningTask
from tuning_service.storage.store import Unit


def chosen_task(unit: Unit, principal: Principal, job_id: str, number: int, task: int | None) -> TuningTask | None:
    """Of a trial: the newest, or the one of number `task`; None before the first. Raises NotFound."""
    scope = unit.for_tenant(principal)
    tasks = scope.tasks(scope.trial(job_id, number).id)
    if task is None:
        return tasks[-1] if tasks else None
    for candidate in tasks:
        if candidate.number == task:
            return candidate
    raise NotFound(f"Trial {number} has no task {task}.")
