"""The parts of a job file: everything but its space, which is in space_entries.py."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from tuning_service.domain.job import Goal, Summary
from tuning_service.manager.space_entries import Real, Whole

DEFAULT_ALGORITHM = "auto"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ObjectiveEntry(Part):
    metric: str = Field(description="Name of a metric that the program prints", max_length=200)
    goal: Goal
    summary: Summary = Field(Summary.BEST, description="best: the best value over all steps; last: the last one")


def _how_many(written: object) -> str:
    return "several" if isinstance(written, (list, tuple)) else "one"


Objectives = Annotated[
    Annotated[ObjectiveEntry, Tag("one")] | Annotated[list[ObjectiveEntry], Tag("several")],
    Discriminator(_how_many),
    Field(description="What is optimised; a list of up to four makes a Pareto front"),
]
MetricName = Annotated[str, Field(min_length=1, max_length=200)]


class AlgorithmEntry(Part):
    name: str = DEFAULT_ALGORITHM
    version: str = ""  # of a plug-in; the newest when left out
    digest: str = Field(
        default="", description="Of a plug-in's content, as stored jobs show it: other content is refused"
    )
    options: dict[str, Any] = Field(default_factory=dict)


class BudgetEntry(Part):
    trials: Whole = Field(le=1_000_000, description="How many configurations are tried")
    parallel: Whole = Field(1, le=100_000, description="How many run at once")
    minutes: Real | None = Field(None, description="The job ends after this long; running trials are stopped")
    trial_minutes: Real | None = Field(None, description="A trial that runs longer has failed")
    failures: Whole = Field(10, le=1_000_000, description="The job gives up after this many failed trials in a row")


class ResourcesEntry(Part):
    cpus: Whole = Field(1, description="CPUs of one trial; bounds its threads")
    gpus: Real = Field(0, description="GPUs of one trial: 0.25, 0.5, 1, 2 …")


class EnvironmentEntry(Part):
    name: str = Field("", max_length=100, description="One of the environments that the deployment names")
    requirements: str = Field("", max_length=500, description="A file of the program: requirements.txt")
    archive: str = Field("", max_length=2000, description="URL of an environment packed with venv-pack or conda-pack")
