"""What a training finds around it: the executor's environment, without what Spark and this service put there."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Spark's variables hold secrets of the cluster, the service's own may hold a database's address.
_DROPPED = ("SPARK_", "PYSPARK_", "_PYSPARK_", "PYTHON_WORKER_FACTORY_", "TUNING_")
# Unix sockets take about a hundred characters, and multiprocessing puts them in the temporary folder.
_LONGEST_TEMPORARY = 60
# Scripts of packages that an environment may see without having the script: what they run.
_LAUNCHERS = {"torchrun": "torch.distributed.run", "accelerate": "accelerate.commands.accelerate_cli"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python of a training. `home` is its environment's folder; None for the executor's own."""

    python: str
    home: Path | None = None
    complete: bool = False  # it sees no packages of the executor's own Python

    def lacks(self, module: str) -> str:
        """What to say when it has no such module, and the framework needs it."""
        return (
            f"{self.python} on {socket.gethostname()} has no {module}: install it there, or give the job an "
            "environment that has it (environment: in the job file)"
        )


OWN = Interpreter(python=sys.executable)


def training_environment(
    base: Mapping[str, str],
    added: Mapping[str, str],
    gpus: tuple[str, ...],
    temporary: Path,
    interpreter: Interpreter = OWN,
) -> dict[str, str]:
    """The environment of a training that gets `gpus`; `added` is its plan's."""
    environment = {name: value for name, value in base.items() if not name.startswith(_DROPPED)}
    path = _without_spark(base.get("PYTHONPATH", ""), base.get("SPARK_HOME", ""))
    environment.pop("PYTHONPATH", None)
    if interpreter.home is not None:
        for name in ("PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
            environment.pop(name, None)
        for name, sign in (("VIRTUAL_ENV", "pyvenv.cfg"), ("CONDA_PREFIX", "conda-meta")):
            if (interpreter.home / sign).exists():
                environment[name] = str(interpreter.home)
    if path and not interpreter.complete:  # its packages may be for another version of Python
        environment["PYTHONPATH"] = path
    # So that torchrun, accelerate and the like are those of the same installation as "python".
    pythons = [] if interpreter.complete else [sys.executable]
    folders = [str(Path(python).parent) for python in dict.fromkeys([interpreter.python, *pythons])]
    folders += [base.get("PATH", os.defpath)]
    environment["PATH"] = os.pathsep.join(folders)
    if len(str(temporary)) <= _LONGEST_TEMPORARY:
        environment["TMPDIR"] = str(temporary)  # goes with the task's folder
    environment |= {"PYTHONUNBUFFERED": "1", **added}
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return environment


def _without_spark(path: str, spark_home: str) -> str:
    """PYTHONPATH without Spark's own archives and those that it ships to executors."""

    def is_sparks(entry: str) -> bool:
        name = Path(entry).name
        return (
            name.endswith((".jar", ".egg"))
            or (name.endswith(".zip") and name.startswith(("pyspark", "py4j", "tuning_service")))
            or bool(spark_home and Path(entry).is_relative_to(spark_home))
            or any(part.startswith(("spark-", "app-")) for part in Path(entry).parts)
        )

    return os.pathsep.join(entry for entry in path.split(os.pathsep) if entry and not is_sparks(entry))


def command(argv: tuple[str, ...], interpreter: Interpreter = OWN) -> list[str]:
    """`argv` with the training's own interpreter in place of "python", and of the one that a launcher would take."""
    first, *rest = argv
    if first in {"python", "python3"}:
        return [interpreter.python, *rest]
    if first in _LAUNCHERS and interpreter.home is not None and not (interpreter.home / "bin" / first).exists():
        return [interpreter.python, "-m", _LAUNCHERS[first], *rest]
    return [first, *rest]
