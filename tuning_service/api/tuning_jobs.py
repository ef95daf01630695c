"""/v1/tuning-jobs: start, list, look at, change, stop, resume and delete."""

import dataclasses
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response, status

from tuning_service.api import paging
from tuning_service.api.deps import Counts, IdempotencyKey, Listing, Steering, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import Answer, Keep, answered_once
from tuning_service.api.job_schemas import JobCountsOut
from tuning_service.api.schemas import JobOut, Page
from tuning_service.domain.state import JobStatus
from tuning_service.manager.job_file import JobFile
from tuning_service.manager.listing_mgr import JobQuery, Position
from tuning_service.manager.steering_mgr import JobChange
from tuning_service.manager.views import JobView

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])

Order = Literal["created_at", "name", "status", "ended_at", "cost"]
Sort = Literal[Order, "-created_at", "-name", "-status", "-ended_at", "-cost"]
_Name = Annotated[str, Query(max_length=64)]


async def _filters(
    status: Annotated[list[JobStatus] | None, Query(description="Only these; may be repeated")] = None,
    search: Annotated[
        str, Query(max_length=200, description="Part of the job's name or id, or of its owner's name, in either case")
    ] = "",
    framework: _Name = "",
    algorithm: _Name = "",
    pool: _Name = "",
) -> JobQuery:
    return JobQuery(statuses=status or (), search=search, framework=framework, algorithm=algorithm, pool=pool)


Filters = Annotated[JobQuery, Depends(_filters)]


@router.post("", status_code=status.HTTP_201_CREATED, response_model=JobOut, responses=responses(403, 409, 422))
def start_job(
    file: JobFile, who: Who, tuning: Tuning, counts: Counts, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a tuning job. Refused with all that is wrong, and nothing stored, when it could not succeed."""

    def answer(view: JobView) -> Answer:
        return status.HTTP_201_CREATED, JobOut.of(view).model_dump_json()

    def start(keep: Keep) -> Answer:
        view = tuning.start(who, file, stored=lambda unit, view: keep(unit, answer(view)))
        counts.jobs_started.inc()
        return answer(view)

    request = ["POST /v1/tuning-jobs", file.model_dump(mode="json")]
    response = answered_once(tuning, who, idempotency_key, request, start)
    job = JobOut.model_validate_json(bytes(response.body))
    response.headers["Location"] = f"/v1/tuning-jobs/{job.id}"
    return response


@router.get("", responses=responses(422))
def list_jobs(
    who: Who,
    listing: Listing,
    query: Filters,
    sort: Annotated[Sort, Query(description="`-`: descending; `ended_at`: those that have not ended come last")] = (
        "-created_at"
    ),
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[JobOut]:
    """List the tenant's jobs, newest first unless sorted otherwise."""
    order, descending = sort.removeprefix("-"), sort.startswith("-")
    query = dataclasses.replace(query, order=order, descending=descending)
    page = listing.jobs(who, query, after=_position(cursor, sort), limit=limit)
    return Page(
        items=[JobOut.of(view) for view in page.views],
        next_cursor=None if page.next is None else paging.encode(sort, int(page.next[0]), *page.next[1:]),
    )


def _position(cursor: str | None, sort: str) -> Position | None:
    of_text = sort.removeprefix("-") in {"name", "status"}
    found = paging.decode(cursor, str, int, str if of_text else float, str)
    if found is None:
        return None
    if found[0] != sort:
        raise paging.bad_cursor()
    return bool(found[1]), found[2], found[3]


@router.get("/counts", responses=responses(422))
def count_jobs(who: Who, listing: Listing, query: Filters) -> JobCountsOut:
    """Count the tenant's jobs by status, with the same filters as the list."""
    counts = listing.job_counts(who, query)
    return JobCountsOut(counts={str(status): count for status, count in counts.items()}, total=sum(counts.values()))


@router.get("/{job_id}", responses=responses(404))
def get_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Get one job with its progress."""
    return JobOut.of(tuning.job(who, job_id))


@router.patch("/{job_id}", responses=responses(403, 404, 409, 422))
def change_job(job_id: str, change: JobChange, who: Who, tuning: Tuning, steering: Steering) -> JobOut:
    """Change a job's name or budget, while it runs or once it has ended; `resume` then goes on with it.

    With fewer trials than it has, it ends when those that run have ended.
    """
    steering.change(who, job_id, change)
    return JobOut.of(tuning.job(who, job_id))


@router.post("/{job_id}/stop", responses=responses(403, 404, 409))
def stop_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Stop a job: its trainings end within seconds, finished trials stay. Stopping a stopped one changes nothing."""
    return JobOut.of(tuning.stop(who, job_id))


@router.post("/{job_id}/resume", responses=responses(403, 404, 409))
def resume_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Resume a job that has ended where it was; one that completed, with a larger budget. A running one goes on."""
    return JobOut.of(tuning.resume(who, job_id))


@router.delete("/{job_id}", status_code=status.HTTP_202_ACCEPTED, responses=responses(403, 404))
def delete_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Delete a job with its trials, measurements and logs, once its trainings have ended."""
    return JobOut.of(tuning.delete(who, job_id))
