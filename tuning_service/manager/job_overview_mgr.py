"""JobOverviewMgr: what is told of all trials of one job together."""

from collections.abc import Mapping, Sequence

from tuning_service.domain.principal import Principal
from tuning_service.storage.job_overview import FailureGroup, Place
from tuning_service.storage.store import Store


class JobOverviewMgr:
    """Safe from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def failures(self, principal: Principal, job_id: str) -> Sequence[FailureGroup]:
        """Failed trials by how they failed, the most frequent kind first. Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            scope.job(job_id)
            return scope.overview.failures(job_id)

    def places(self, principal: Principal, job_id: str, numbers: Sequence[int]) -> Mapping[int, Place]:
        """Where each of these trials ran last; those that never ran are left out. Raises NotFound."""
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            scope.job(job_id)
            return scope.overview.places(job_id, numbers)


__all__ = ["FailureGroup", "JobOverviewMgr", "Place"]
