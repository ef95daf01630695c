"""Calls about what trials leave and use."""

import hashlib
from pathlib import Path
from urllib.parse import quote

from tuning_service.client.calls import Calls, JsonDict, given, trial_path
from tuning_service.client.errors import TuningApiError
from tuning_service.domain.artifact import path_problem

_PART = ".part"


class ArtifactCalls(Calls):
    """What a trial used, and the files that it left: part of `TuningClient`."""

    def resources(self, job_id: str, number: int, *, task: int | None = None) -> JsonDict:
        """What one execution of a trial used over time, in columns; `task`: default the newest."""
        return self._dict("GET", f"{trial_path(job_id, number)}/resources", params=given({"task": task}))

    def artifacts(self, job_id: str, number: int, *, task: int | None = None) -> list[JsonDict]:
        """The files that one execution of a trial left: {"path", "bytes", "sha256", "created_at"}, by path."""
        return list(self._pages(f"{trial_path(job_id, number)}/artifacts", {"task": task}))

    def download_artifacts(
        self, job_id: str, number: int, folder: Path | str, *, task: int | None = None
    ) -> list[Path]:
        """The files, written below `folder` under the paths that they have; those that were there are replaced.

        Raises:
            TuningApiError: also when what came is not what was stored.
            OSError: the folder cannot be written.
        """
        made = []
        for artifact in self.artifacts(job_id, number, task=task):
            if path_problem(artifact["path"]):  # no service of ours says so
                raise TuningApiError(502, {"title": "Not a path", "detail": f"{artifact['path']!r} leads elsewhere."})
            target = Path(folder) / artifact["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            self._download(job_id, number, artifact, task, target)
            made.append(target)
        return made

    def _download(self, job_id: str, number: int, artifact: JsonDict, task: int | None, target: Path) -> None:
        part = target.with_name(f"{target.name[:200]}{_PART}")
        digest = hashlib.sha256()
        url = f"{trial_path(job_id, number)}/artifacts/{quote(artifact['path'])}"
        try:
            with self._transport.stream(url, given({"task": task})) as answer, part.open("wb") as stream:
                for data in answer.iter_bytes():
                    digest.update(data)
                    stream.write(data)
            if digest.hexdigest() != artifact["sha256"]:
                detail = f"{artifact['path']} is not as it was stored: download it again."
                raise TuningApiError(502, {"title": "Not what was stored", "detail": detail})
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
