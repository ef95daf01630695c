"""/v1/tuning-jobs: start, list, look at, stop, resume and delete."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from tuning_service.api import paging
from tuning_service.api.deps import Counts, IdempotencyKey, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import answered_once
from tuning_service.api.schemas import JobOut, Page
from tuning_service.domain.state import JobStatus
from tuning_service.manager.job_file import JobFile

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])


@router.post("", status_code=status.HTTP_201_CREATED, response_model=JobOut, responses=responses(403, 409, 422))
def start_job(
    file: JobFile, who: Who, tuning: Tuning, counts: Counts, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a tuning job. Refused with all that is wrong, and nothing stored, when it could not succeed."""

    def start() -> tuple[int, str]:
        job = JobOut.of(tuning.start(who, file))
        counts.jobs_started.inc()
        return status.HTTP_201_CREATED, job.model_dump_json()

    request = ["POST /v1/tuning-jobs", file.model_dump(mode="json")]
    response = answered_once(tuning, who, idempotency_key, request, start)
    job = JobOut.model_validate_json(bytes(response.body))
    response.headers["Location"] = f"/v1/tuning-jobs/{job.id}"
    return response


@router.get("", responses=responses(422))
def list_jobs(
    who: Who,
    tuning: Tuning,
    status: Annotated[list[JobStatus] | None, Query(description="Only these; may be repeated")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[JobOut]:
    """List the tenant's jobs, newest first."""
    position = paging.decode(cursor, str)
    found = tuning.jobs(who, before=position[0] if position else None, limit=limit + 1, statuses=status or ())
    views, last = paging.split(found, limit)
    return Page(
        items=[JobOut.of(view) for view in views],
        next_cursor=None if last is None else paging.encode(last.job.id),
    )


@router.get("/{job_id}", responses=responses(404))
def get_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Get one job with its progress."""
    return JobOut.of(tuning.job(who, job_id))


@router.post("/{job_id}/stop", responses=responses(403, 404, 409))
def stop_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Stop a job: its trainings end within seconds, finished trials stay. Stopping a stopped one changes nothing."""
    return JobOut.of(tuning.stop(who, job_id))


@router.post("/{job_id}/resume", responses=responses(403, 404, 409))
def resume_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Resume a stopped or failed job where it was. Resuming a running one changes nothing."""
    return JobOut.of(tuning.resume(who, job_id))


@router.delete("/{job_id}", status_code=status.HTTP_202_ACCEPTED, responses=responses(403, 404))
def delete_job(job_id: str, who: Who, tuning: Tuning) -> JobOut:
    """Delete a job with its trials, measurements and logs, once its trainings have ended."""
    return JobOut.of(tuning.delete(who, job_id))
