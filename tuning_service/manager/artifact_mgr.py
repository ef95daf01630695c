"""ArtifactMgr: the files that trainings left, for their users."""

from collections.abc import Iterator, Sequence

from tuning_service.domain.artifact import Artifact
from tuning_service.domain.errors import NotFound
from tuning_service.domain.principal import Principal
from tuning_service.manager.executions import chosen_task
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store


class ArtifactMgr:
    """Reads only: they come from runners (`ArtifactDesk`) and go with their job. Safe from any thread."""

    def __init__(self, store: Store, artifacts: ArtifactStore) -> None:
        self._store = store
        self._artifacts = artifacts

    def artifacts(
        self, principal: Principal, job_id: str, number: int, *, task: int | None, after: str = "", limit: int
    ) -> Sequence[Artifact]:
        """Of one execution of the trial, the newest unless `task` numbers another: by path, those above `after`.

        Raises:
            NotFound
        """
        with self._store.read() as unit:
            found = chosen_task(unit, principal, job_id, number, task)
            return [] if found is None else unit.artifacts.of(found.id, after=after, limit=limit)

    def open(
        self, principal: Principal, job_id: str, number: int, path: str, *, task: int | None
    ) -> tuple[Artifact, Iterator[bytes]]:
        """The artifact, and its bytes in pieces. Raises NotFound."""
        with self._store.read() as unit:
            found = chosen_task(unit, principal, job_id, number, task)
            artifact = None if found is None else unit.artifacts.find(found.id, path)
        if found is None or artifact is None:
            raise NotFound(f"Trial {number} left no file {path!r}.")
        return artifact, self._artifacts.artifact(found.tenant_id, job_id, found.id, path)
