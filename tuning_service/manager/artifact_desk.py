"""ArtifactDesk: takes in the files that trainings leave, from runners that carry a token of their task."""

import hashlib

import structlog

from tuning_service.domain.artifact import MOST_FILES, Artifact, ArtifactRoom, path_problem
from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import FieldProblem, GiveUp, InvalidRequest, OverQuota, TooLarge
from tuning_service.domain.state import OPEN_TASKS
from tuning_service.domain.trial import TuningTask
from tuning_service.manager.quotas import check_stored
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store, Unit

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ArtifactDesk:
    """Stores artifacts within the limits of an execution and of its tenant. Safe from any thread."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, *, limit_bytes: int = 256 * 2**20, clock: Clock = system_clock
    ) -> None:
        """`limit_bytes` is for all files of one execution; 0: none are kept."""
        self.limit_bytes = limit_bytes
        self._store = store
        self._artifacts = artifacts
        self._clock = clock
        self._tokens = TaskTokens(store)

    def room(self, task_id: str, token: str) -> ArtifactRoom:
        """What the execution may still store. Raises Unauthenticated, GiveUp."""
        self._tokens.check(task_id, token)
        with self._store.read() as unit:
            task = _open(unit, task_id)
            used, files = unit.artifacts.total(task.id)
            left, why = self.limit_bytes - used, f"the limit of a trial is {_size(self.limit_bytes)}"
            tenant = unit.tenancy.tenant(task.tenant_id)
            if tenant.max_storage_bytes is not None:
                quota = tenant.max_storage_bytes - unit.quotas.usage(task.tenant_id).storage_bytes()
                if quota < left:
                    left, why = quota, f"the tenant's quota of storage has {_size(max(0, quota))} left"
        return ArtifactRoom(bytes=max(0, left), files=max(0, MOST_FILES - files), why=why)

    def begin(self, task_id: str, token: str, path: str, size: int) -> "Upload":
        """To take in a file of `size` bytes.

        Raises:
            Unauthenticated: the token is not this task's.
            GiveUp: the execution has ended.
            InvalidRequest: the path is none that can be kept.
            TooLarge, OverQuota: it is beyond what the execution, or the tenant, may store.
            TryAgain: the artifact store takes nothing at present.
        """
        self._tokens.check(task_id, token)
        if problem := path_problem(path):
            remedy = "Give the file a plain relative path of printable characters."
            raise InvalidRequest(FieldProblem(field="path", message=f"{problem}.", remedy=remedy))
        with self._store.read() as unit:
            task = _open(unit, task_id)
        artifact = Artifact(path=path, bytes=size, sha256="", created_at=self._clock())
        self.admit(task, artifact, store=False)
        return Upload(self, self._artifacts, task, artifact)

    def admit(self, task: TuningTask, artifact: Artifact, *, store: bool) -> None:
        """Return quietly when there is room for the artifact, and with `store` its row is there."""
        with self._store.write() as unit:
            _open(unit, task.id, lock=store)
            tenant = unit.quotas.lock(task.tenant_id)
            before = unit.artifacts.find(task.id, artifact.path)
            used, files = unit.artifacts.total(task.id, without=artifact.path)
            if files >= MOST_FILES:
                raise TooLarge(f"A trial may leave at most {MOST_FILES} files.")
            if used + artifact.bytes > self.limit_bytes:
                raise TooLarge(f"The files that a trial leaves may have at most {self.limit_bytes} bytes together.")
            more = artifact.bytes - (before.bytes if before else 0)
            if more > 0:
                check_stored(unit.quotas.usage(task.tenant_id), tenant, more)
            if store:
                unit.artifacts.put(task.id, artifact)

    def has(self, task: TuningTask, path: str) -> bool:
        """True when an artifact is stored under this path."""
        with self._store.read() as unit:
            return unit.artifacts.find(task.id, path) is not None


class Upload:
    """One file on its way in: `write` its pieces, then `keep` it, or `drop` it. Not for two threads at once."""

    def __init__(self, desk: ArtifactDesk, artifacts: ArtifactStore, task: TuningTask, artifact: Artifact) -> None:
        self._desk = desk
        self._artifacts = artifacts
        self._task = task
        self._artifact = artifact
        self._digest = hashlib.sha256()
        self._written = 0
        self._writer = artifacts.write_artifact(task.tenant_id, task.job_id, task.id, artifact.path)

    def write(self, data: bytes) -> None:
        """Take a piece. Raises TryAgain, TooLarge."""
        self._written += len(data)
        if self._written > self._artifact.bytes:
            raise TooLarge("The file is longer than its Content-Length.")
        self._digest.update(data)
        self._writer.write(data)

    def keep(self) -> Artifact:
        """The stored artifact. Raises what `begin` does, and InvalidRequest when not all of it came."""
        if self._written != self._artifact.bytes:
            problem = f"has {self._written} bytes, of {self._artifact.bytes} that were announced."
            raise InvalidRequest(FieldProblem(field="body", message=problem, remedy="Send it again."))
        stored = Artifact(
            path=self._artifact.path,
            bytes=self._written,
            sha256=self._digest.hexdigest(),
            created_at=self._artifact.created_at,
        )
        task = self._task
        # Bytes before the row, as with programs: a row without bytes would be found by its user.
        self._writer.keep()
        try:
            self._desk.admit(task, stored, store=True)
        except (GiveUp, TooLarge, OverQuota):
            # Of what was sent again, because the first answer was lost, the bytes are those of a row that is there.
            if not self._desk.has(task, stored.path):
                self._artifacts.delete_artifact(task.tenant_id, task.job_id, task.id, stored.path)
            raise
        _log.info("artifact stored", task=task.id, job=task.job_id, path=stored.path, bytes=stored.bytes)
        return stored

    def drop(self) -> None:
        """Nothing of it is left."""
        self._writer.drop()


def _open(unit: Unit, task_id: str, *, lock: bool = False) -> TuningTask:
    task = unit.runner.task(task_id, lock=lock)
    if task is None or task.status not in OPEN_TASKS:
        raise GiveUp("This execution has ended.")
    return task


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count >= 2**20 else f"{count} bytes"
