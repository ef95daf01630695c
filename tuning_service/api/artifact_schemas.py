"""What the API says of the files that trials left, and of what they used."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from tuning_service.api.schemas import Out, moment
from tuning_service.domain.artifact import Artifact
from tuning_service.domain.resources import greatest
from tuning_service.manager.resource_mgr import ResourceView


class ArtifactOut(Out):
    path: str = Field(examples=["model.pt"])
    bytes: int = Field(examples=[48213])
    sha256: str = Field(examples=["9f86d081884c7d65…"])
    created_at: datetime

    @classmethod
    def of(cls, artifact: Artifact) -> "ArtifactOut":
        return cls(
            path=artifact.path,
            bytes=artifact.bytes,
            sha256=artifact.sha256,
            created_at=moment(artifact.created_at),
        )


class ResourcesOut(Out):
    """Columns with a value for each sample. The lists by GPU have one such column for each of the task's GPUs."""

    task: int | None = Field(description="Number of the execution; null before the first")
    gpus: list[str] = Field(description="Its GPUs", examples=[["0"]])
    elapsed_s: list[float] = Field(description="Since the training process began", examples=[[1.0, 5.0, 10.0]])
    cpu: list[float] = Field(description="Cores in use, a mean since the sample before", examples=[[0.9, 1.7, 1.8]])
    memory_bytes: list[int] = Field(
        description="Resident memory of the training and all that it started", examples=[[210_000_000, 480_000_000]]
    )
    threads: list[int] = Field(examples=[[1, 12, 12]])
    gpu_memory_bytes: list[list[int | None]] = Field(
        description="In use on the whole GPU, by whomever", examples=[[[None, 3_221_225_472, 3_221_225_472]]]
    )
    gpu_utilisation: list[list[float | None]] = Field(
        description="0 to 1, of the whole GPU", examples=[[[None, 0.7, 0.9]]]
    )
    peak_memory_bytes: int | None = Field(description="Also between samples, of the largest process; null: not known")
    peak_gpu_memory_bytes: list[int | None] = Field(description="Of the samples, by GPU")
    cpu_s: float | None = Field(description="Seconds of CPU so far; null: not known")

    @classmethod
    def of(cls, view: ResourceView) -> "ResourcesOut":
        task, samples = view.task, view.samples
        gpus = list(task.gpus) if task is not None else []
        memory = _by_gpu([sample.gpu_memory_bytes for sample in samples], len(gpus))
        return cls(
            task=None if task is None else task.number,
            gpus=gpus,
            elapsed_s=[sample.elapsed_s for sample in samples],
            cpu=[sample.cpu for sample in samples],
            memory_bytes=[sample.memory_bytes for sample in samples],
            threads=[sample.threads for sample in samples],
            gpu_memory_bytes=memory,
            gpu_utilisation=_by_gpu([sample.gpu_utilisation for sample in samples], len(gpus)),
            peak_memory_bytes=None if task is None else task.peak_memory_bytes,
            peak_gpu_memory_bytes=[greatest(column) for column in memory],
            cpu_s=None if task is None else task.cpu_s,
        )


def _by_gpu(rows: Sequence[Sequence[Any]], gpus: int) -> list[list[Any]]:
    return [[row[gpu] if gpu < len(row) else None for row in rows] for gpu in range(gpus)]
