"""Answers about many jobs."""

from pydantic import Field

from tuning_service.api.schemas import Out


class JobCountsOut(Out):
    counts: dict[str, int] = Field(description="By status", examples=[{"running": 3, "completed": 40}])
    total: int = Field(examples=[43])
