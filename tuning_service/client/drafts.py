"""The client's calls about what comes before a job: previews, examples, a look into programs."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tuning_service.client.errors import BadJobFile
from tuning_service.client.transport import Transport

JsonDict = dict[str, Any]


class DraftCalls(ABC):
    """Part of `TuningClient`."""

    _transport: Transport

    @abstractmethod
    def _dict(self, method: str, path: str, **options: Any) -> JsonDict: ...

    @abstractmethod
    def _pages(self, path: str, params: Mapping[str, Any], limit: int | None = None) -> Iterator[JsonDict]: ...

    def preview(self, job: str | Mapping[str, Any], *, samples: int = 8, seed: int | None = None) -> JsonDict:
        """What would become of a job file, as text of YAML or as a dictionary; nothing is stored.

        {"problems": what a submission would be refused with, "samples": configurations of its space, …}
        """
        wish: JsonDict = {"samples": samples, "yaml" if isinstance(job, str) else "file": job}
        if seed is not None:
            wish["seed"] = seed
        try:
            content = json.dumps(wish, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadJobFile("job", f"cannot be written as JSON: {error}.", "Use plain numbers and texts.") from error
        headers = {"Content-Type": "application/json"}
        return self._dict("POST", "/v1/tuning-jobs/preview", content=content, headers=headers)

    def job_file(self, job_id: str, form: str = "yaml") -> str:
        """The job file that makes such a job again: yaml, json, python (a script) or curl (a command)."""
        path = f"/v1/tuning-jobs/{quote(job_id, safe='')}/file"
        return self._transport.send("GET", path, params={"as": form}).text

    def program_file(self, digest: str, path: str) -> str:
        """The text of one file of an uploaded program, its first 256 KiB."""
        return self._transport.send("GET", f"/v1/programs/{quote(digest, safe='')}/files/{quote(path)}").text

    def placeholders(self, digest: str) -> list[JsonDict]:
        """Names in a program's prototxt files that wait for values, each with a parameter that would suit it."""
        return list(self._pages(f"/v1/programs/{quote(digest, safe='')}/placeholders", {}))

    def examples(self) -> list[JsonDict]:
        """The examples that come with the service."""
        return list(self._pages("/v1/examples", {}))

    def example(self, name: str) -> JsonDict:
        """One of them with its job file, as `file` and as `yaml`."""
        return self._dict("GET", f"/v1/examples/{quote(name, safe='')}")

    def upload_example(self, name: str) -> str:
        """The digest under which the example's program is stored now."""
        return str(self._dict("POST", f"/v1/examples/{quote(name, safe='')}/program")["digest"])
