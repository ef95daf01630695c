"""TuningClient: the REST interface as Python methods. Answers are the dictionaries that the service sends."""

import codecs
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tuning_service.client.administration import AdministrationCalls
from tuning_service.client.artifacts import ArtifactCalls
from tuning_service.client.calls import JsonDict, given, job_path, segment, trial_path
from tuning_service.client.drafts import DraftCalls
from tuning_service.client.errors import BadJobFile, ServiceUnreachable
from tuning_service.client.job_files import load_job_file, program_folder
from tuning_service.client.plugins import PluginCalls
from tuning_service.client.steering import SteeringCalls
from tuning_service.client.transport import Transport, parse_events


class TuningClient(SteeringCalls, DraftCalls, ArtifactCalls, PluginCalls, AdministrationCalls):
    """Talks to a tuning service. Usable from several threads, and as a context manager.

    From a notebook:

        from tuning_service.client import TuningClient
        client = TuningClient("http://127.0.0.1:8765", "tsk_…")
        job = client.submit("examples/digits_pytorch/job.yaml")
        client.wait(job["id"], on_change=lambda job: print(job["progress"]))
        print(client.best(job["id"])["by_observation"])

    Every method may raise TuningApiError, and ServiceUnreachable (one of them) when no answer came.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, timeout_s: float = 30.0, retry_s: float = 8.0
    ) -> None:
        """Defaults of `url` and `api_key` are the environment's TUNING_URL and TUNING_API_KEY.

        A request that fails on the way is sent again for `retry_s` seconds.
        """
        self._transport = Transport(url, api_key, timeout_s=timeout_s, retry_s=retry_s)
        self.url = self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # -- jobs

    def upload_program(self, folder: Path | str) -> str:
        """The digest under which the folder's content is stored now."""
        # Loaded here: most calls need no archives.
        from tuning_service.runner import bundle

        try:
            data = bundle.pack(folder)
        except (bundle.BadBundle, OSError) as error:
            raise BadJobFile("program", f"{error}.", "Name the training program's folder.") from error
        answer = self._transport.json(
            "POST", "/v1/programs", content=data, headers={"Content-Type": "application/gzip"}
        )
        return str(answer["digest"])

    def programs(self) -> list[JsonDict]:
        """All uploaded programs, by digest."""
        return list(self._pages("/v1/programs", {}))

    def delete_program(self, digest: str) -> None:
        """Delete an uploaded program that no job uses."""
        self._transport.send("DELETE", f"/v1/programs/{segment(digest)}")

    def submit(self, job: Path | str | Mapping[str, Any], program: Path | str | None = None) -> JsonDict:
        """The job that was started from a job file, or from a dictionary of the same form.

        `program` names the folder to upload instead of the one in the file. In a file it is relative to the file, in a
        dictionary to the working directory.
        """
        if isinstance(job, Mapping):
            document, base = dict(job), Path.cwd()
        else:
            document, base = load_job_file(job), Path(job).parent
        folder = program_folder(document, base, program)
        if folder is not None:
            document["program"] = self.upload_program(folder)
        return self._dict("POST", "/v1/tuning-jobs", json=document)

    def job(self, job_id: str) -> JsonDict:
        """One job with its progress."""
        return self._dict("GET", job_path(job_id))

    def wait(
        self,
        job_id: str,
        on_change: Callable[[JsonDict], object] | None = None,
        timeout_s: float | None = None,
        poll_s: float = 0.5,
    ) -> JsonDict:
        """The job once it has ended: completed, failed or stopped. Goes on when the service is restarted.

        `on_change` is told the job at first and each time its status or its counts have changed.

        Raises:
            TimeoutError: it has not ended after `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        shown: object = None
        while True:
            job = self._patiently(lambda: self.job(job_id), deadline)
            state = (job["status"], job["target"], job["reason"], {**job["progress"], "seconds_left": None})
            if on_change is not None and state != shown:
                on_change(job)
            shown = state
            if _is_over(job):
                return job
            if deadline is not None and time.monotonic() + poll_s > deadline:
                raise TimeoutError(f"Job {job_id} is {job['status']} after {timeout_s} s.")
            time.sleep(poll_s)

    def stop(self, job_id: str) -> JsonDict:
        """Ask a job to stop: its trainings end within seconds; what has finished stays."""
        return self._dict("POST", f"{job_path(job_id)}/stop")

    def resume(self, job_id: str) -> JsonDict:
        """Ask a job that has ended to go on; one that completed, after `change` has raised its budget."""
        return self._dict("POST", f"{job_path(job_id)}/resume")

    def delete(self, job_id: str) -> JsonDict:
        """Ask for a job to go, with its trials, measurements and logs."""
        return self._dict("DELETE", job_path(job_id))

    def add_points(self, job_id: str, points: Sequence[Mapping[str, Any]]) -> list[JsonDict]:
        """Have configurations tried next, before what the algorithm suggests; the answer has them complete.

        What a point leaves out has its default, or else the middle of its range. They count within the job's budget.
        """
        answer = self._dict("POST", f"{job_path(job_id)}/points", json={"points": list(points)})
        return list(answer["items"])

    def points(self, job_id: str) -> list[JsonDict]:
        """All points that were queued for a job; `trial` is the number of the trial that tries it, or None yet."""
        return list(self._pages(f"{job_path(job_id)}/points", {}))

    def events(self, job_id: str, *, follow: bool = False) -> Iterator[JsonDict]:
        """What happened and happens to a job, until it has ended: {"id", "event", "data"}, the id None for progress.

        Goes on where it was when the connection breaks. `follow`: also after the job's end.
        """
        last = 0
        while True:
            try:
                with self._transport.stream(
                    f"{job_path(job_id)}/events", {"follow": follow}, {"Last-Event-ID": str(last)}
                ) as answer:
                    for event in parse_events(answer.iter_lines()):
                        last = event["id"] or last
                        yield event
                        if event["event"] == "deleted":
                            return
            except ServiceUnreachable:
                pass  # found out below whether it comes back
            # A service that shuts down ends its streams in good order: the job tells whether this was the end.
            job = self._patiently(lambda: self.job(job_id), None)
            if not follow and _is_over(job):
                return

    # -- trials

    def best(self, job_id: str, limit: int = 5) -> JsonDict:
        """{"by_observation": the best trial or None, "by_model": {"trial", "expected"} or None, "trials", "note"}.

        By the first objective. The algorithm's model allows for noise; an algorithm without one says None. `note` is
        what has to be known of the order: that no trial meets the metric constraints, say.
        """
        return self._dict("GET", f"{job_path(job_id)}/best", params={"limit": limit})

    def front(self, job_id: str, limit: int = 100) -> JsonDict:
        """{"trials": the Pareto front, best first by the first objective, "total": how many are on it}."""
        return self._dict("GET", f"{job_path(job_id)}/front", params={"limit": limit})

    def trials(
        self, job_id: str, sort: str = "number", limit: int | None = None, status: str | None = None
    ) -> list[JsonDict]:
        """All trials, or the first `limit`. `sort`: number, value, ended_at, each with - for descending, or best."""
        return list(self._pages(f"{job_path(job_id)}/trials", {"sort": sort, "status": status}, limit))

    def trial(self, job_id: str, number: int) -> JsonDict:
        """One trial, with the list of its executions as `tasks`."""
        return self._dict("GET", trial_path(job_id, number))

    def measurements(
        self, job_id: str, number: int, metric: str | None = None, task: int | None = None
    ) -> list[JsonDict]:
        """What a trial reported, by step and metric."""
        return list(self._pages(f"{trial_path(job_id, number)}/measurements", {"metric": metric, "task": task}))

    def log(
        self, job_id: str, number: int, *, task: int | None = None, start: int = 0, length: int | None = None
    ) -> str:
        """What a trial printed; `start` (negative: from the end) and `length` count bytes."""
        pieces = bytearray()
        while length is None or len(pieces) < length:
            params = given({"task": task, "start": start})
            if length is not None:
                params["length"] = min(length - len(pieces), 2**23)
            answer = self._transport.send("GET", f"{trial_path(job_id, number)}/log", params=params)
            pieces += answer.content
            start = int(answer.headers["X-Log-Start"]) + len(answer.content)
            if not answer.content or start >= int(answer.headers["X-Log-Total"]):
                break
        return pieces.decode("utf-8", "replace")

    def search_log(
        self, job_id: str, number: int, text: str, *, task: int | None = None, match_case: bool = False, **range_: int
    ) -> JsonDict:
        """Lines of a log that hold `text`: {"matches": [{"line", "offset", "text", …}], "total", …}.

        `range_`: limit, after, before, as GET …/log/search takes them.
        """
        params = {"q": text, "task": task, "match_case": match_case, **range_}
        return self._dict("GET", f"{trial_path(job_id, number)}/log/search", params=given(params))

    def follow_log(self, job_id: str, number: int, *, task: int | None = None, start: int = 0) -> Iterator[str]:
        """What a trial prints, as it comes, until its execution has ended."""
        if task is None:
            tasks = self.trial(job_id, number)["tasks"]
            task = tasks[-1]["number"] if tasks else None
        if start < 0:
            answer = self._transport.send(
                "GET", f"{trial_path(job_id, number)}/log", params=given({"task": task, "start": start, "length": 0})
            )
            start = int(answer.headers["X-Log-Start"])
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            params = given({"task": task, "start": start, "follow": True})
            try:
                with self._transport.stream(f"{trial_path(job_id, number)}/log", params) as answer:
                    for data in answer.iter_bytes():
                        start += len(data)
                        yield decoder.decode(data)
            except ServiceUnreachable:
                pass  # found out below whether it comes back
            trial = self._patiently(lambda: self.trial(job_id, number), None)
            chosen = [item for item in trial["tasks"] if task in {None, item["number"]}]
            open_task = chosen and chosen[-1]["ended_at"] is None
            # More may have come between the stream's end and this look at the trial.
            if not open_task and (not chosen or start >= chosen[-1]["log_bytes"]):
                yield decoder.decode(b"", final=True)
                return

    # -- what there is to choose from

    def algorithms(self) -> list[JsonDict]:
        """The search algorithms with their options."""
        return list(self._pages("/v1/algorithms", {}))

    def frameworks(self) -> list[JsonDict]:
        """The frameworks that programs may be written with."""
        return list(self._pages("/v1/frameworks", {}))


def _is_over(job: JsonDict) -> bool:
    """As api.reading.is_over says it: ended, and nobody has asked for more since."""
    return job["status"] in {"completed", "failed", "stopped"} and job["target"] == "stopped"
