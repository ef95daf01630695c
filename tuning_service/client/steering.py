"""The client's calls that list, change and watch jobs."""

from collections.abc import Iterator

from tuning_service.client.calls import Calls, JsonDict, job_path, trial_path
from tuning_service.client.transport import parse_events


class SteeringCalls(Calls):
    """Part of `TuningClient`."""

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

        `search`: a part of the job's name or id, or of the name of who submitted it. `sort`: created_at, name,
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
        return self._dict("PATCH", job_path(job_id), json=change)

    def stop_trial(self, job_id: str, number: int) -> JsonDict:
        """Ask one trial to end, for good, while its job goes on; what it measured is kept."""
        return self._dict("POST", f"{trial_path(job_id, number)}/stop")

    def trials_csv(self, job_id: str) -> Iterator[str]:
        """All trials as comma-separated values, in pieces."""
        with self._transport.stream(f"{job_path(job_id)}/trials.csv", {}) as answer:
            yield from answer.iter_text()

    def changes(self) -> Iterator[list[str] | None]:
        """Ids of jobs that have changed, as it happens; None when any may have: at first, and when some were deleted.

        Raises ServiceUnreachable when the connection breaks: whoever calls again is told None first.
        """
        with self._transport.stream("/v1/events", {}) as answer:
            for event in parse_events(answer.iter_lines()):
                yield None if event["data"]["all"] else event["data"]["jobs"]
