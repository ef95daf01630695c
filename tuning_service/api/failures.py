"""/v1/tuning-jobs/{job_id}/failures: what went wrong in a job, by kind."""

from fastapi import APIRouter, Request
from pydantic import Field

from tuning_service.api.deps import Who, managers
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out
from tuning_service.domain.trial import FaultKind

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/failures", tags=["trials"])


class FailureGroupOut(Out):
    failure: str = Field(description="How they failed, in a word; may be empty", examples=["out of memory"])
    fault: FaultKind = Field(description="Whose fault it was")
    count: int = Field(description="How many trials", examples=[3])
    newest: int = Field(description="The number of the newest of them", examples=[41])
    reason: str = Field(description="What that one says", examples=["The program ended with exit code 1."])


class FailuresOut(Out):
    items: list[FailureGroupOut] = Field(description="The most frequent kind first")


@router.get("", responses=responses(404))
def list_failures(job_id: str, who: Who, request: Request) -> FailuresOut:
    """Tell how a job's failed trials failed, by kind."""
    groups = managers(request).overview.failures(who, job_id)
    names = FailureGroupOut.model_fields
    return FailuresOut(items=[FailureGroupOut(**{name: getattr(g, name) for name in names}) for g in groups])
