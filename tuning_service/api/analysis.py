"""/v1/tuning-jobs/{job}/analysis and /v1/analysis: numbers in columns, for charts."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Path, Query, Response

from tuning_service.api.deps import Analysis, Who
from tuning_service.api.errors import responses
from tuning_service.domain.errors import FieldProblem, InvalidRequest

router = APIRouter(prefix="/v1", tags=["analysis"])
_Route = TypeVar("_Route", bound=Callable[..., Response])

JobId = Annotated[str, Path(description="The job")]
Objective = Annotated[
    str | None, Query(max_length=200, description="Metric of the objective that is meant; default: the first")
]
Parameter = Annotated[str, Query(max_length=200, description="A parameter of the space")]
_MOST_NUMBERS = 200
_TRIALS = r"^(all|best:[1-9]\d{0,4}|\d{1,9}(,\d{1,9})*)$"
_BASE = "/tuning-jobs/{job_id}/analysis"


def _get(path: str, example: dict[str, Any]) -> Callable[[_Route], _Route]:
    """A route whose answer is described to OpenAPI: free columns, always with `question` and `note`."""
    schema = {
        "type": "object",
        "required": ["question", "note"],
        "properties": {
            "question": {"type": "string", "description": "What the numbers tell"},
            "note": {"type": "string", "description": 'What was left out, thinned or rounded; "" when nothing was'},
        },
        "additionalProperties": True,
    }
    content = {"application/json": {"schema": schema, "example": example}}
    described: dict[int | str, dict[str, Any]] = {
        200: {"description": "Columns of equal length", "content": content},
        **responses(404, 422),
    }
    return router.get(path, response_class=Response, responses=described)


def _answer(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")


@_get(
    _BASE + "/history",
    {
        "question": "How did the best value improve with trials, time and money?",
        "objective": "val_accuracy",
        "goal": "maximize",
        "total": 2,
        "columns": {
            "number": [1, 0],
            "ended": [1, 2],
            "ended_at": [1924999210.5, 1924999220.1],
            "elapsed": [10.5, 20.1],
            "cost_cumulative": [0.01, 0.02],
            "gpu_hours_cumulative": [0.003, 0.006],
            "value": [0.91, None],
            "best": [0.91, 0.91],
            "status": [0, 1],
            "feasible": [True, True],
        },
        "statuses": ["completed", "failed"],
        "note": "",
    },
)
def history(job_id: JobId, who: Who, analysis: Analysis, objective: Objective = None) -> Response:
    """Best so far against ended trials, seconds since the start, and cost, in the order of ends."""
    return _answer(analysis.history(who, job_id, objective=objective))


@_get(
    _BASE + "/curves",
    {
        "question": "How did val_accuracy develop during training, and do the best trials differ early?",
        "metric": "val_accuracy",
        "metrics": ["val_accuracy", "loss"],
        "x": "step",
        "smooth": 0.0,
        "curves": [{"trial": 4, "best": True, "x": [1, 2, 3], "y": [0.4, 0.7, "nan"]}],
        "points_per_curve": 200,
        "points_per_best_curve": 200,
        "total_points": 3,
        "total_measurements": 3,
        "method": "Largest triangle three buckets (LTTB): of each stretch the point that stands out most is shown.",
        "note": "",
    },
)
def curves(
    job_id: JobId,
    who: Who,
    analysis: Analysis,
    metric: Annotated[str | None, Query(max_length=200, description="Default: the first objective's")] = None,
    points: Annotated[int, Query(ge=8, le=2000, description="Of one curve; fewer where there are many curves")] = 200,
    trials: Annotated[
        str, Query(pattern=_TRIALS, max_length=2200, description="all, best:20, or numbers with commas between")
    ] = "all",
    x: Literal["step", "time"] = "step",
    smooth: Annotated[
        float, Query(ge=0, lt=1, allow_inf_nan=False, description="Weight of the moving average; 0: none")
    ] = 0.0,
) -> Response:
    """Learning curves of many trials, down-sampled so that extremes stay visible."""
    wanted: str | list[int] = trials
    if trials[0].isdigit():
        wanted = sorted({int(number) for number in trials.split(",")})
        if len(wanted) > _MOST_NUMBERS:
            message = f"names {len(wanted)} trials; {_MOST_NUMBERS} can be named."
            raise InvalidRequest(FieldProblem(field="trials", message=message, remedy="Name fewer, or use best:200."))
    found = analysis.curves(who, job_id, metric=metric, points=points, trials=wanted, along=x, smooth=smooth)
    return _answer(found)


@_get(
    _BASE + "/parallel",
    {
        "question": "Which combinations of parameter values do good trials have in common?",
        "total": 2,
        "number": [0, 1],
        "parameters": [
            {"name": "lr", "kind": "log", "low": 0.0001, "high": 0.3, "values": [0.01, 0.2]},
            {"name": "optimizer", "kind": "categorical", "levels": ["sgd", "adam"], "values": [1, 0]},
            {"name": "momentum", "kind": "linear", "low": 0.0, "high": 0.99, "values": [None, 0.9]},
        ],
        "objectives": [{"name": "val_accuracy", "goal": "maximize", "values": [0.91, None]}],
        "status": [0, 1],
        "statuses": ["completed", "failed"],
        "feasible": [True, True],
        "note": "Numbers are rounded to 6 digits.",
    },
)
def parallel(job_id: JobId, who: Who, analysis: Analysis) -> Response:
    """Columns for parallel coordinates; null where a parameter is inactive, places in `levels` for categories."""
    return _answer(analysis.parallel(who, job_id))


@_get(
    _BASE + "/importance",
    {
        "question": "Which parameters decide the result, and which can be left alone?",
        "method": "ped-anova",
        "objective": "val_accuracy",
        "trials": 120,
        "columns": {"parameter": ["lr", "optimizer"], "importance": [0.82, 0.18]},
        "left_out": [],
        "warning": "",
        "note": "",
    },
)
def importance(
    job_id: JobId,
    who: Who,
    analysis: Analysis,
    method: Literal["ped-anova", "fanova"] = "ped-anova",
    objective: Objective = None,
) -> Response:
    """How much each parameter matters; the sum is 1. fANOVA takes seconds the first time."""
    return _answer(analysis.importance(who, job_id, method=method, objective=objective))


@_get(
    _BASE + "/slice",
    {
        "question": "How does the objective change with lr?",
        "parameter": {"name": "lr", "kind": "log", "low": 0.0001, "high": 0.3},
        "objective": "val_accuracy",
        "goal": "maximize",
        "columns": {"number": [0], "x": [0.01], "value": [0.91], "feasible": [True]},
        "note": "",
    },
)
def slice_of(
    job_id: JobId, who: Who, analysis: Analysis, parameter: Parameter, objective: Objective = None
) -> Response:
    """The objective against one parameter."""
    return _answer(analysis.slice(who, job_id, parameter, objective=objective))


@_get(
    _BASE + "/contour",
    {
        "question": "How do lr and optimizer act together, and where is it worth looking further?",
        "x": {"name": "lr", "kind": "log", "low": 0.0001, "high": 0.3, "grid": [0.0001, 0.3]},
        "y": {"name": "optimizer", "kind": "categorical", "levels": ["sgd", "adam"], "grid": [0, 1]},
        "objective": "val_accuracy",
        "goal": "maximize",
        "z": [[0.5, None], [0.9, 0.7]],
        "columns": {"number": [0], "x": [0.0001], "y": [1], "value": [0.91]},
        "note": "Cells further than 0.15 of an axis from every trial are empty.",
    },
)
def contour(
    job_id: JobId, who: Who, analysis: Analysis, x: Parameter, y: Parameter, objective: Objective = None
) -> Response:
    """The objective over two parameters: points, and `z[row][column]` at `y.grid[row]` and `x.grid[column]`."""
    return _answer(analysis.contour(who, job_id, x, y, objective=objective))


@_get(
    _BASE + "/front",
    {
        "question": "What does getting better in one objective cost in the others?",
        "objectives": [
            {"name": "val_accuracy", "goal": "maximize", "values": [0.91, 0.9]},
            {"name": "latency_ms", "goal": "minimize", "values": [12.0, 15.0]},
        ],
        "number": [0, 1],
        "on_front": [True, False],
        "feasible": [True, True],
        "front_size": 1,
        "note": "",
    },
)
def front(job_id: JobId, who: Who, analysis: Analysis) -> Response:
    """All completed trials by their objectives, and which are on the Pareto front."""
    return _answer(analysis.front(who, job_id))


@_get(
    _BASE + "/slots",
    {
        "question": "Which trials ran where and when, and were slots left idle?",
        "total": 1,
        "began_at": 1924999200.0,
        "now": 60.0,
        "hosts": ["worker-1"],
        "gpu_sets": [["0"]],
        "statuses": ["succeeded"],
        "columns": {
            "trial": [0],
            "task": [0],
            "host": [0],
            "gpus": [0],
            "start": [1.2],
            "end": [10.5],
            "status": [0],
        },
        "note": "",
    },
)
def slots(job_id: JobId, who: Who, analysis: Analysis) -> Response:
    """Where each execution ran, from when to when, in seconds since the job began; `end` is null while it runs."""
    return _answer(analysis.slots(who, job_id))


@_get(
    "/analysis/compare",
    {
        "question": "Which of these jobs found the best, and how quickly?",
        "jobs": [
            {
                "job": "job_01",
                "name": "digits",
                "status": "completed",
                "algorithm": "auto",
                "objective": "val_accuracy",
                "goal": "maximize",
                "trials": 24,
                "best_trial": 4,
                "best_value": 0.983,
                "best_feasible": True,
                "columns": {
                    "ended": [1, 5, 24],
                    "elapsed": [10.5, 40.0, 200.1],
                    "cost": [0, 0, 0],
                    "best": [0.9, 0.983, 0.983],
                },
            }
        ],
        "parameters": [{"name": "lr", "best": [0.01]}],
        "note": "",
    },
)
def compare(
    who: Who,
    analysis: Analysis,
    jobs: Annotated[str, Query(max_length=1000, description="Ids of up to ten jobs, with commas between")],
) -> Response:
    """Best so far of several jobs, and the best configuration of each side by side."""
    return _answer(analysis.compare(who, [part.strip() for part in jobs.split(",") if part.strip()]))
