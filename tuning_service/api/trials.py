"""/v1/tuning-jobs/{job}/trials: trials and what they measured."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import StreamingResponse

from tuning_service.api import paging
from tuning_service.api.deps import Listing, Steering, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import MeasurementOut, Page, TrialDetail, TrialOut
from tuning_service.domain.job import Goal
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import TrialStatus
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr, TrialOrder

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/trials", tags=["trials"])
table = APIRouter(prefix="/v1/tuning-jobs/{job_id}/trials.csv", tags=["trials"])

Number = Annotated[int, Path(ge=0, lt=2**31, description="The trial's number within the job")]
TaskNumber = Annotated[
    int | None, Query(alias="task", ge=0, lt=2**31, description="Which execution of the trial; default: the newest")
]
_SORT = "`-`: descending; `best`: by the first objective, those first that meet the metric constraints"
_CSV_EXAMPLE = "number,status,value,values.acc,params.lr,reason,started,ended,elapsed\n0,completed,0.98,0.98,0.01,,…\n"
Sort = Literal["number", "-number", "value", "-value", "ended_at", "-ended_at", "best"]


@router.get("", responses=responses(404, 422))
def list_trials(
    job_id: str,
    who: Who,
    tuning: Tuning,
    status: Annotated[list[TrialStatus] | None, Query(description="Only these; may be repeated")] = None,
    sort: Annotated[Sort, Query(description=_SORT)] = "number",
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[TrialOut]:
    """List a job's trials. Those without what is sorted by come last."""
    position = paging.decode(cursor, str, float, float, float, float)
    if position is not None and position.pop(0) != sort:
        raise paging.bad_cursor()
    found = tuning.trials(
        who,
        job_id,
        order=_order(tuning, who, job_id, sort),
        after=position,
        limit=limit + 1,
        statuses=status or (),
    )
    rows, last = paging.split(found, limit)
    now = tuning.now()
    return Page(
        items=[TrialOut.of(trial, now) for trial, _ in rows],
        next_cursor=None if last is None else paging.encode(sort, *last[1]),
    )


def _order(tuning: ModelTuningMgr, who: Principal, job_id: str, sort: Sort) -> TrialOrder:
    if sort == "best":
        goal = tuning.job(who, job_id).job.spec.objective.goal
        return TrialOrder(column="value", descending=goal is Goal.MAXIMIZE, feasible_first=True)
    return TrialOrder(column=sort.removeprefix("-"), descending=sort.startswith("-"))


@router.get("/{number}", responses=responses(404, 422))
def get_trial(job_id: str, number: Number, who: Who, tuning: Tuning) -> TrialDetail:
    """Get one trial with all its executions."""
    return TrialDetail.of(tuning.trial(who, job_id, number), tuning.now())


@router.post("/{number}/stop", responses=responses(403, 404, 409, 422))
def stop_trial(job_id: str, number: Number, who: Who, tuning: Tuning, steering: Steering) -> TrialOut:
    """Stop one trial, for good, while its job goes on. What it measured is kept, and it counts as one of the budget.

    The algorithm learns of what it measured; it is never the best.
    """
    return TrialOut.of(steering.stop_trial(who, job_id, number), tuning.now())


@table.get(
    "",
    response_class=StreamingResponse,
    responses={
        **responses(404),
        200: {
            "description": "A line for each trial, by number. Texts that a spreadsheet would run as a formula begin"
            " with an apostrophe",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": _CSV_EXAMPLE}},
        },
    },
)
def trials_as_csv(job_id: str, who: Who, listing: Listing) -> StreamingResponse:
    """All trials as comma-separated values: parameters, values and metrics in columns of their own."""
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-trials.csv"'}
    lines = listing.trials_csv(who, job_id)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{number}/measurements", responses=responses(404, 422))
def list_measurements(
    job_id: str,
    number: Number,
    who: Who,
    tuning: Tuning,
    task: TaskNumber = None,
    metric: Annotated[str | None, Query(max_length=200)] = None,
    limit: paging.Limit = 1000,
    cursor: paging.Cursor = None,
) -> Page[MeasurementOut]:
    """List what one execution of a trial reported, by step and metric."""
    position = paging.decode(cursor, int, str)
    found = tuning.measurements(
        who,
        job_id,
        number,
        task=task,
        metric=metric,
        after=(position[0], position[1]) if position else None,
        limit=limit + 1,
    )
    points, last = paging.split(found, limit)
    return Page(
        items=[MeasurementOut.of(point) for point in points],
        next_cursor=None if last is None else paging.encode(last.step, last.metric),
    )
