"""What is sent and answered about job files that are not submitted yet."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tuning_service.api.schemas import Out
from tuning_service.manager.preview_mgr import MOST_CHARACTERS, MOST_SAMPLES, PlacedProblem, Preview


class PreviewIn(BaseModel):
    """A job file, as YAML or as JSON; one of the two."""

    yaml: str | None = Field(None, max_length=MOST_CHARACTERS, description="The job file's text")
    file: dict[str, Any] | None = Field(None, description="The job file as JSON, right or not")
    samples: int = Field(8, ge=0, le=MOST_SAMPLES, description="How many configurations are wanted")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Of the samples; the job file's own when left out")

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"yaml": "space:\n  lr: {type: float, min: 0.3, max: 1}\n", "samples": 2}]},
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.yaml is None) == (self.file is None):
            raise ValueError("give either yaml or file")
        return self


class PlacedProblemOut(Out):
    field: str = Field(
        description="Dotted path as its author wrote it; yaml: the text as a whole", examples=["space.lr.min"]
    )
    message: str = Field(description="What is wrong", examples=["min 0.3 is greater than max 0.0001."])
    remedy: str = Field(description="What to do about it", examples=["Swap them."])
    line: int | None = Field(description="In the YAML text, from 1; null where that cannot be told", examples=[2])
    column: int | None = Field(description="In that line, from 1", examples=[7])

    @classmethod
    def of(cls, placed: PlacedProblem) -> "PlacedProblemOut":
        problem = placed.problem
        return cls(
            field=problem.field,
            message=problem.message,
            remedy=problem.remedy,
            line=placed.line or None,
            column=placed.column or None,
        )


class PreviewOut(Out):
    problems: list[PlacedProblemOut] = Field(description="What a submission would be refused with; empty: nothing")
    document: dict[str, Any] | None = Field(description="The job file as it was read, right or not")
    file: dict[str, Any] | None = Field(description="With all defaults; null unless each field has its form")
    yaml: str | None = Field(description="What differs from the defaults, in the documented order")
    samples: list[dict[str, bool | int | float | str]] = Field(
        description="Configurations of the space, spread evenly, valid under conditions and constraints"
    )
    grid_size: int | None = Field(
        description="How many configurations there are, those included that constraints forbid; null: infinitely many,"
        " or too many to count, which notes says"
    )
    notes: list[str]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "problems": [
                        {"field": "budget", "message": "is missing.", "remedy": "Add it.", "line": None, "column": None}
                    ],
                    "document": {"space": {"lr": {"type": "float", "min": 0.3, "max": 1}}},
                    "file": None,
                    "yaml": "space:\n  lr: {type: float, min: 0.3, max: 1}\n",
                    "samples": [{"lr": 0.41}, {"lr": 0.76}],
                    "grid_size": None,
                    "notes": [],
                }
            ]
        }
    )

    @classmethod
    def of(cls, preview: Preview) -> "PreviewOut":
        return cls(
            problems=[PlacedProblemOut.of(placed) for placed in preview.problems],
            document=None if preview.document is None else dict(preview.document),
            file=None if preview.file is None else dict(preview.file),
            yaml=preview.yaml,
            samples=[dict(params) for params in preview.samples],
            grid_size=preview.size,
            notes=list(preview.notes),
        )
