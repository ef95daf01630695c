"""Programs that train with PyTorch."""

from typing import ClassVar

from tuning_service.frameworks.base import framework
from tuning_service.frameworks.program import ProgramManager


@framework
class PyTorchManager(ProgramManager):
    """An ordinary program: PyTorch takes its threads from OMP_NUM_THREADS and its devices from CUDA_VISIBLE_DEVICES."""

    name: ClassVar[str] = "pytorch"
    summary: ClassVar[str] = "a PyTorch program; metrics from JSON lines and name=value prints"
