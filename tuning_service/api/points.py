"""/v1/tuning-jobs/{job_id}/points: configurations that are tried next."""

from collections.abc import Sequence

from fastapi import APIRouter, Response, status
from pydantic import Field

from tuning_service.api import paging
from tuning_service.api.deps import IdempotencyKey, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import Answer, Keep, answered_once
from tuning_service.api.schemas import Out, Page
from tuning_service.domain.trial import QueuedPoint
from tuning_service.manager.job_file import PointsFile
from tuning_service.manager.space_entries import Point

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/points", tags=["tuning jobs"])


class PointOut(Out):
    position: int = Field(description="The order in which they are tried; 0 is the point of the defaults")
    params: Point = Field(examples=[{"lr": 0.01, "optimizer": "adam"}])
    source: str = Field(description="What its trial's `source` says", examples=["point 1"])
    trial: int | None = Field(description="The number of its trial; null while it waits")

    @classmethod
    def of(cls, point: QueuedPoint) -> "PointOut":
        return cls(position=point.position, params=dict(point.params), source=point.source, trial=point.trial)


@router.post(
    "", status_code=status.HTTP_201_CREATED, response_model=Page[PointOut], responses=responses(403, 404, 409, 422)
)
def add_points(
    job_id: str, who: Who, tuning: Tuning, file: PointsFile | None = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """Have configurations tried next, before what the algorithm suggests. They count within the budget of trials."""
    points = file.points if file else []

    def answer(queued: Sequence[QueuedPoint]) -> Answer:
        return status.HTTP_201_CREATED, Page[PointOut](items=list(map(PointOut.of, queued))).model_dump_json()

    def add(keep: Keep) -> Answer:
        return answer(tuning.add_points(who, job_id, points, stored=lambda unit, queued: keep(unit, answer(queued))))

    request = [f"POST /v1/tuning-jobs/{job_id}/points", points]
    return answered_once(tuning, who, idempotency_key, request, add)


@router.get("", responses=responses(404, 422))
def list_points(
    job_id: str,
    who: Who,
    tuning: Tuning,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[PointOut]:
    """List the points that were queued for a job, those that are trials by now included."""
    position = paging.decode(cursor, int)
    found = tuning.points(who, job_id, after=position[0] if position else -1, limit=limit + 1)
    points, last = paging.split(found, limit)
    return Page(
        items=[PointOut.of(point) for point in points],
        next_cursor=None if last is None else paging.encode(last.position),
    )
