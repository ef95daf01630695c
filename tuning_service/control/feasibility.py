"""Which configurations of a job cannot be trained, by its framework manager's word."""

import json
from collections.abc import Sequence

from tuning_service.domain.job import TuningJob
from tuning_service.domain.trial import Suggestion
from tuning_service.frameworks.base import ProgramFiles, frameworks
from tuning_service.frameworks.program_files import read_program
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store

_REMEMBERED = 1000


class Feasibility:
    """Of one job, whose program is read once; a manager that inspects nothing costs nothing. Used by one thread."""

    def __init__(self, job: TuningJob, store: Store, artifacts: ArtifactStore) -> None:
        self._job, self._store, self._artifacts = job, store, artifacts
        self._manager = frameworks().get(job.spec.framework)
        self._program: ProgramFiles | None = None
        # What is ready may wait for slots through many steps.
        self._known: dict[str, str] = {}

    def problems(self, ready: Sequence[Suggestion]) -> tuple[str, ...]:
        """For each of `ready` why it cannot be trained, "" when it can. Not for a transaction."""
        if self._manager is None or not self._manager.inspects:
            return ()
        return tuple(map(self._problem, ready))

    def _problem(self, suggestion: Suggestion) -> str:
        assert self._manager is not None
        key = json.dumps(dict(suggestion.params), sort_keys=True)
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = self._manager.infeasible(self._job.spec, self._files(), suggestion.params)
        return self._known[key]

    def _files(self) -> ProgramFiles:
        if self._program is None:
            assert self._manager is not None
            spec, tenant_id = self._job.spec, self._job.tenant_id
            with self._store.read() as unit:
                names = unit.control.program_files(tenant_id, spec.program)
            self._program = read_program(
                self._artifacts.program(tenant_id, spec.program), names, self._manager.inspects
            )
        return self._program
