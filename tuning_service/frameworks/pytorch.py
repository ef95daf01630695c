"""Programs that train with PyTorch: plain loops, Lightning, the Trainer of Hugging Face."""

import dataclasses
from collections.abc import Collection
from typing import ClassVar

from tuning_service.domain.job import JobSpec
from tuning_service.domain.trial import Trial
from tuning_service.frameworks.base import Preparation, framework
from tuning_service.frameworks.program import THREAD_VARIABLES, ProgramManager
from tuning_service.frameworks.python_calls import PythonCall, python_call

# Packages that are run with `python -m` to start processes by themselves.
_LAUNCHERS = frozenset({"torch", "accelerate", "deepspeed", "lightning", "horovod", "composer"})
# Whether a program uses torch shows when it runs: not every one that is started this way does.
_IMPORTS = ("torch", "torchvision", "lightning", "pytorch_lightning", "transformers", "accelerate")


@framework
class PyTorchManager(ProgramManager):
    """An ordinary program: PyTorch takes its threads from OMP_NUM_THREADS and its devices from CUDA_VISIBLE_DEVICES.

    With several GPUs, `python train.py` is started once for each of them, as torchrun does. Commands that name a
    launcher are left as they are, and so is all that does not begin with the word python.
    """

    name: ClassVar[str] = "pytorch"
    summary: ClassVar[str] = "a PyTorch program (Lightning, Hugging Face too); one process for each GPU of a trial"

    def prepare(self, spec: JobSpec, trial: Trial, gpus: Collection[str]) -> Preparation:
        prepared = dataclasses.replace(super().prepare(spec, trial, gpus), imports=_IMPORTS)
        call = python_call(prepared.argv)
        count = len(gpus)
        if count < 2 or call is None or (call.module and call.target.split(".")[0] in _LAUNCHERS):
            return prepared
        threads = dict.fromkeys(THREAD_VARIABLES, str(max(1, spec.resources.cpus // count)))
        return dataclasses.replace(
            prepared, argv=_distributed(call, count), environment={**prepared.environment, **threads}
        )


def _distributed(call: PythonCall, count: int) -> tuple[str, ...]:
    """What torchrun would run: `count` processes on this machine that find each other.

    What the first process prints is the trial's log as it stands. Of the others, which print the same, only what they
    write to stderr is added, each line behind "[default1]:" and so on: there the traceback of one that fails is.
    """
    others = range(1, count)
    return (
        *(call.interpreter, *call.options, "-m", "torch.distributed.run"),
        *("--standalone", "--nproc-per-node", str(count)),
        *("--redirects", ",".join(f"{rank}:1" for rank in others), "--tee", ",".join(f"{rank}:2" for rank in others)),
        # In the working directory, with which it goes; hidden, so that no pattern of `log_files` finds it.
        *("--log-dir", ".torchrun-logs"),
        *(("--module",) if call.module else ()),
        *(call.target, *call.arguments),
    )
