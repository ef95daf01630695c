"""Programs that train with TensorFlow or Keras."""

import dataclasses
from collections.abc import Collection
from typing import ClassVar

from tuning_service.domain.job import JobSpec
from tuning_service.domain.trial import Trial
from tuning_service.frameworks.base import Preparation, framework
from tuning_service.frameworks.program import ProgramManager
from tuning_service.frameworks.python_calls import python_call


@framework
class TensorFlowManager(ProgramManager):
    """An ordinary program. TensorFlow is told its threads, and to take GPU memory only as it needs it.

    So trials can share a GPU. Which backend Keras uses is left to the program.
    """

    name: ClassVar[str] = "tensorflow"
    summary: ClassVar[str] = (
        "a TensorFlow or Keras program; metrics from what model.fit prints, and the customary prints"
    )

    def prepare(self, spec: JobSpec, trial: Trial, gpus: Collection[str]) -> Preparation:
        prepared = super().prepare(spec, trial, gpus)
        cpus = str(spec.resources.cpus)
        ours = {
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_CPP_MIN_LOG_LEVEL": "2",  # errors, without notes on what the library was built with
            "TF_NUM_INTRAOP_THREADS": cpus,
            "TF_NUM_INTEROP_THREADS": cpus,
        }
        # Of other interpreters than the environment's own nothing is known before they run.
        started_here = python_call(prepared.argv) is not None
        return dataclasses.replace(
            prepared,
            environment={**prepared.environment, **ours},
            modules=("tensorflow",) if started_here else (),
            imports=("tensorflow", "keras"),
        )
