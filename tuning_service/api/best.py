"""/v1/tuning-jobs/{job}/best and /front: what a job has found."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tuning_service.api.deps import Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Number, Out, TrialOut
from tuning_service.manager.views import BestView, FrontView

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])


class BestByModelOut(Out):
    trial: TrialOut
    expected: Number = Field(description="The value that the model expects of it, noise taken out")


class BestOut(Out):
    by_observation: TrialOut | None = Field(
        description="The completed trial with the best value, of those that meet the metric constraints if any does"
    )
    by_model: BestByModelOut | None = Field(
        description="The best by the algorithm's model, which allows for noise; null without a model"
    )
    trials: list[TrialOut] = Field(description="The best ones by observation, best first")
    note: str = Field(description="What has to be known of that order, for people", examples=[""])

    @classmethod
    def of(cls, view: BestView, now: float) -> "BestOut":
        trials = [TrialOut.of(trial, now) for trial in view.trials]
        by_model = None
        if view.by_model is not None and view.model_value is not None:
            by_model = BestByModelOut(trial=TrialOut.of(view.by_model, now), expected=view.model_value)
        return cls(by_observation=trials[0] if trials else None, by_model=by_model, trials=trials, note=view.note)


class FrontOut(Out):
    trials: list[TrialOut] = Field(description="Best first by the first objective")
    total: int = Field(description="How many are on the front", examples=[7])

    @classmethod
    def of(cls, view: FrontView, now: float) -> "FrontOut":
        return cls(trials=[TrialOut.of(trial, now) for trial in view.trials], total=view.total)


@router.get("/{job_id}/best", responses=responses(404, 422))
def best_trials(job_id: str, who: Who, tuning: Tuning, limit: Annotated[int, Query(ge=1, le=100)] = 5) -> BestOut:
    """Get the best completed trials, best first by the first objective; and the best by the algorithm's model."""
    return BestOut.of(tuning.best(who, job_id, limit), tuning.now())


@router.get("/{job_id}/front", responses=responses(404, 422))
def pareto_front(job_id: str, who: Who, tuning: Tuning, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> FrontOut:
    """Get the Pareto front: the trials that meet all metric constraints and that no other beats in everything."""
    return FrontOut.of(tuning.front(who, job_id, limit), tuning.now())
