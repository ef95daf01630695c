"""Which artifacts an execution has left; their bytes are in the artifact store."""

from sqlalchemy import Connection, func, select, update

from tuning_service.domain.artifact import Artifact
from tuning_service.storage.rows import AnyRow
from tuning_service.storage.tables import tuning_tasks
from tuning_service.storage.tables_tasks import task_artifacts
from tuning_service.storage.writes import upsert


class ArtifactRows:
    """Rows of any task: whoever asks has found the task among those that it may see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, task_id: str, artifact: Artifact) -> None:
        """Store the artifact; one under the same path gives way. In a transaction that has the task's row locked."""
        row = {
            "task_id": task_id,
            "path": artifact.path,
            "bytes": artifact.bytes,
            "sha256": artifact.sha256,
            "created_at": artifact.created_at,
        }
        upsert(self._connection, task_artifacts, [row])
        total, _ = self.total(task_id)
        # Beside the log's, so that what a tenant stores is summed up from one table.
        self._connection.execute(update(tuning_tasks).where(tuning_tasks.c.id == task_id).values(artifact_bytes=total))

    def total(self, task_id: str, *, without: str = "") -> tuple[int, int]:
        """Bytes and number of an execution's artifacts, but of the one with the path `without`."""
        count, total = self._connection.execute(
            select(func.count(), func.coalesce(func.sum(task_artifacts.c.bytes), 0)).where(
                task_artifacts.c.task_id == task_id, task_artifacts.c.path != without
            )
        ).one()
        return int(total), count

    def of(self, task_id: str, *, after: str = "", limit: int | None = None) -> list[Artifact]:
        """By path, those above `after`."""
        rows = self._connection.execute(
            select(task_artifacts)
            .where(task_artifacts.c.task_id == task_id, task_artifacts.c.path > after)
            .order_by(task_artifacts.c.path)
            .limit(limit)
        )
        return [_artifact_from(row) for row in rows]

    def find(self, task_id: str, path: str) -> Artifact | None:
        """The artifact, or None."""
        row = self._connection.execute(
            select(task_artifacts).where(task_artifacts.c.task_id == task_id, task_artifacts.c.path == path)
        ).first()
        return None if row is None else _artifact_from(row)


def _artifact_from(row: AnyRow) -> Artifact:
    return Artifact(path=row.path, bytes=row.bytes, sha256=row.sha256, created_at=row.created_at)
