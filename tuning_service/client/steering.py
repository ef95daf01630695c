"""The client's calls that list, change and watch jobs."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tuning_service.client.errors import BadJobFile
from tuning_service.client.transport import Transport, parse_events

JsonDict = dict[str, Any]


class SteeringCalls(ABC):
    """Part of `TuningClient`."""

    _transport: Transport

    @abstractmethod
    def _dict(self, method: str, path: str, **options: Any) -> JsonDict: ...

    @abstractmethod
    def _pages(self, path: str, params: Mapping[str, Any], limit: int | None = None) -> Iterator[JsonDict]: ...

    def jobs(
        self,
        status: str | None = None,
        *,
        search: str | None = None,
        framework: str | None = None,
        algorithm: str | None = None,
        pool: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> list[JsonDict]:
        """All jobs, or the first `limit`, newest first unless sorted otherwise.

        `search`: a part of the job's name or id, or of the name of the key that submitted it. `sort`: created_at, name,
        status, ended_at or cost, each with - for descending.
        """
        params = {"status": status, "search": search, "framework": framework, "algorithm": algorithm, "pool": pool}
        return list(self._pages("/v1/tuning-jobs", {**params, "sort": sort}, limit))

    def job_counts(self, **filters: str) -> dict[str, int]:
        """How many jobs are in each status; `filters` are those of `jobs`."""
        counts: dict[str, int] = self._dict("GET", "/v1/tuning-jobs/counts", params=filters)["counts"]
        return counts

    def change(self, job_id: str, *, name: str | None = None, **budget: float | None) -> JsonDict:
        """Change a job, whether it runs or has ended: its name, and trials, parallel, minutes, trial_minutes, failures.

        What is not named stays; None is no limit. A job that has ended goes on when it is resumed.
        """
        change: JsonDict = {"budget": budget} if budget else {}
        if name is not None:
            change["name"] = name
        try:
            content = json.dumps(change, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadJobFile("budget", f"cannot be written as JSON: {error}.", "Use plain numbers.") from error
        headers = {"Content-Type": "application/json"}
        return self._dict("PATCH", f"/v1/tuning-jobs/{quote(job_id, safe='')}", content=content, headers=headers)

    def stop_trial(self, job_id: str, number: int) -> JsonDict:
        """Ask one trial to end, for good, while its job goes on; what it measured is kept."""
        return self._dict("POST", f"/v1/tuning-jobs/{quote(job_id, safe='')}/trials/{int(number)}/stop")

    def trials_csv(self, job_id: str) -> Iterator[str]:
        """All trials as comma-separated values, in pieces."""
        with self._transport.stream(f"/v1/tuning-jobs/{quote(job_id, safe='')}/trials.csv", {}) as answer:
            yield from answer.iter_text()

    def changes(self) -> Iterator[list[str] | None]:
        """Ids of jobs that have changed, as it happens; None when any may have: at first, and when some were deleted.

        Raises ServiceUnreachable when the connection breaks: whoever calls again is told None first.
        """
        with self._transport.stream("/v1/events", {}) as answer:
            for event in parse_events(answer.iter_lines()):
                yield None if event["data"]["all"] else event["data"]["jobs"]
