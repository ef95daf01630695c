"""ResourceMgr: what executions of trials use over time."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuning_service.domain.principal import Principal
from tuning_service.domain.resources import ResourceSample
from tuning_service.domain.trial import TuningTask
from tuning_service.manager.executions import chosen_task
from tuning_service.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceView:
    """One execution, None before a trial's first, with its samples in the order of time."""

    task: TuningTask | None
    samples: Sequence[ResourceSample]


class ResourceMgr:
    """Reads only. Safe from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def resources(self, principal: Principal, job_id: str, number: int, *, task: int | None) -> ResourceView:
        """Of one execution of the trial, the newest unless `task` numbers another. Raises NotFound."""
        with self._store.read() as unit:
            found = chosen_task(unit, principal, job_id, number, task)
            return ResourceView(task=found, samples=[] if found is None else unit.resources.of(found.id))
