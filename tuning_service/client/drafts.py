"""The client's calls about what comes before a job: previews, examples, a look into programs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tuning_service.client.calls import Calls, JsonDict, job_path, segment


class DraftCalls(Calls):
    """Part of `TuningClient`."""

    def preview(self, job: str | Mapping[str, Any], *, samples: int = 8, seed: int | None = None) -> JsonDict:
        """What would become of a job file, as text of YAML or as a dictionary; nothing is stored.

        {"problems": what a submission would be refused with, "samples": configurations of its space, …}
        """
        wish: JsonDict = {"samples": samples, "yaml" if isinstance(job, str) else "file": job}
        if seed is not None:
            wish["seed"] = seed
        return self._dict("POST", "/v1/tuning-jobs/preview", json=wish)

    def job_file(self, job_id: str, form: str = "yaml") -> str:
        """The job file that makes such a job again: yaml, json, python (a script) or curl (a command)."""
        path = f"{job_path(job_id)}/file"
        return self._transport.send("GET", path, params={"as": form}).text

    def program_file(self, digest: str, path: str) -> str:
        """The text of one file of an uploaded program, its first 256 KiB."""
        return self._transport.send("GET", f"/v1/programs/{segment(digest)}/files/{quote(path)}").text

    def placeholders(self, digest: str) -> list[JsonDict]:
        """Names in a program's prototxt files that wait for values, each with a parameter that would suit it."""
        return list(self._pages(f"/v1/programs/{segment(digest)}/placeholders", {}))

    def examples(self) -> list[JsonDict]:
        """The examples that come with the service."""
        return list(self._pages("/v1/examples", {}))

    def example(self, name: str) -> JsonDict:
        """One of them with its job file, as `file` and as `yaml`."""
        return self._dict("GET", f"/v1/examples/{segment(name)}")

    def upload_example(self, name: str) -> str:
        """The digest under which the example's program is stored now."""
        return str(self._dict("POST", f"/v1/examples/{segment(name)}/program")["digest"])
