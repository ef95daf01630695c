"""What a training finds around it: the executor's environment, without what Spark and this service put there."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Spark's variables hold secrets of the cluster, the service's own may hold a database's address.
_DROPPED = ("SPARK_", "PYSPARK_", "_PYSPARK_", "PYTHON_WORKER_FACTORY_", "TUNING_")
# Unix sockets take about a hundred characters, and multiprocessing puts them in the temporary folder.
_LONGEST_TEMPORARY = 60


def training_environment(
    base: Mapping[str, str], added: Mapping[str, str], gpus: tuple[str, ...], temporary: Path
) -> dict[str, str]:
    """The environment of a training that gets `gpus`; `added` is its plan's."""
    environment = {name: value for name, value in base.items() if not name.startswith(_DROPPED)}
    path = _without_spark(base.get("PYTHONPATH", ""), base.get("SPARK_HOME", ""))
    environment.pop("PYTHONPATH", None)
    if path:
        environment["PYTHONPATH"] = path
    # So that torchrun, accelerate and the like are those of the same installation as "python".
    folders = [str(Path(sys.executable).parent), base.get("PATH", os.defpath)]
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


def command(argv: tuple[str, ...]) -> list[str]:
    """`argv` with the executor's own interpreter in place of "python"."""
    first, *rest = argv
    return [sys.executable if first in {"python", "python3"} else first, *rest]
