"""The command `caffe` on an executor: its own, where there is one, and else our runtime on torch."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from tuning_service.domain.trial import LaunchPlan

COMMAND = "caffe"
_RUNTIME = "tuning_service.caffe"


def with_caffe(plan: LaunchPlan, environment: Mapping[str, str], folder: Path) -> tuple[LaunchPlan, dict[str, str]]:
    """`plan` and a training's `environment`, with our runtime in place of `caffe` when none is on its PATH.

    The runtime is written into `folder`, the task's own: a training has none of the service's packages otherwise, and
    may have another interpreter than the runner. Where a caffe is found, nothing is asked of the Python that is here.

    Raises:
        OSError: the disk does not allow it.
    """
    if plan.argv[0] != COMMAND:
        return plan, dict(environment)
    if shutil.which(COMMAND, path=environment["PATH"]):
        return dataclasses.replace(plan, modules=()), dict(environment)
    home = folder / "runtime"
    package = home / "tuning_service"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    _copy(files("tuning_service") / "caffe", package / "caffe")
    path = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH", "")]))
    argv = ("python", "-m", _RUNTIME, *plan.argv[1:])
    # A folder of nets and data may have a file queue.py or a folder lmdb: the runtime means its own.
    return dataclasses.replace(plan, argv=argv), {**environment, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def _copy(source: Traversable, target: Path) -> None:
    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                _copy(entry, target / entry.name)
        else:
            (target / entry.name).write_bytes(entry.read_bytes())
