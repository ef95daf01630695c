"""MLflow's MlflowSparkStudy: one Spark job of as many tasks as slots, each running Optuna over a part of the trials."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import mlflow
import optuna
from mlflow.optuna.storage import MlflowStorage
from mlflow.pyspark.optuna.study import MlflowSparkStudy

from benchmarks.throughput.contender import HIGH, LOW, RunTrials, spark_session, train


def objective(trial: optuna.Trial) -> float:
    """The loss of one trial."""
    return train(trial.suggest_float("x", LOW, HIGH))


@contextmanager
def mlflow_study(slots: int, folder: Path) -> Iterator[RunTrials]:
    """Random search, its tracking store the SQLite file that MLflow uses where nothing is set."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    spark = spark_session(slots, folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("throughput", artifact_location=(folder / "artifacts").as_uri())
    studies = count()

    def run(trials: int) -> int:
        study = MlflowSparkStudy(
            study_name=f"study-{next(studies)}",
            storage=MlflowStorage(experiment_id=experiment),
            sampler=optuna.samplers.RandomSampler(),
        )
        study.optimize(objective, n_trials=trials, n_jobs=slots)
        return int(study.completed_trials_count)

    try:
        yield run
    finally:
        spark.stop()
