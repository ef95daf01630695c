"""The contract of a contender, the list of them, and the work that all of them do. Read this first."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOOP_FOLDER = Path(__file__).parent / "noop"
LOSS = "loss="
LOW, HIGH = 0.0, 1.0  # where x is searched

# Runs that many trials, and returns how many of them ended with a loss.
RunTrials = Callable[[int], int]
# Given slots and an empty folder: Spark (and what else it takes) is up inside the with block, and gone after it.
Contender = Callable[[int, Path], AbstractContextManager[RunTrials]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contender by name; its module is imported in its own process only, so peers may be missing."""

    module: str
    function: str
    title: str

    def load(self) -> Contender:
        """The contender itself.

        Raises:
            ImportError: what it needs is not installed.
        """
        return cast("Contender", getattr(importlib.import_module(f"{__package__}.{self.module}"), self.function))


CONTENDERS: Mapping[str, Entry] = {
    "ours": Entry(module="ours", function="ours", title="tuning service, over its REST API"),
    "bare": Entry(module="bare", function="one_job", title="bare Spark, one job of N tasks"),
    "bare-clean": Entry(module="bare", function="one_job_clean", title="bare Spark, one job, clean PYTHONPATH"),
    "bare-jobs": Entry(module="bare", function="job_per_task", title="bare Spark, a job per task"),
    "sparktrials": Entry(module="sparktrials", function="defaults", title="hyperopt SparkTrials"),
    "sparktrials-queued": Entry(module="sparktrials", function="queued", title="hyperopt SparkTrials, max_queue_len"),
    "mlflow": Entry(module="mlflow_study", function="mlflow_study", title="MLflow MlflowSparkStudy"),
}


def train(x: float) -> float:
    """The loss that a process of its own printed for `x`; the process inherits the environment."""
    return _train(x, None)


def train_clean(x: float) -> float:
    """As `train`, without the PYTHONPATH of Spark's workers, whose archives each start of a Python would read."""
    return _train(x, {name: value for name, value in os.environ.items() if name != "PYTHONPATH"})


def _train(x: float, environment: Mapping[str, str] | None) -> float:
    command = [sys.executable, str(NOOP_FOLDER / "noop.py"), "--x", str(x)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(LOSS)]
    return float(lines[-1].removeprefix(LOSS))


def spark_session(slots: int, folder: Path) -> "SparkSession":
    """A session on `local[slots]` that keeps its files in `folder` and serves no pages."""
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master(f"local[{slots}]")
        .appName("throughput")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", str(folder / "spark"))
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
