"""hyperopt's SparkTrials with random search: a Spark job per trial, started by a thread that looks once a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hyperopt import STATUS_OK, SparkTrials, fmin, hp, rand

from benchmarks.throughput.contender import HIGH, LOW, RunTrials, spark_session, train


@contextmanager
def defaults(slots: int, folder: Path) -> Iterator[RunTrials]:
    """As its documentation calls it: `parallelism` as many as slots, nothing else set."""
    with _session(slots, folder, queue=1) as run:
        yield run


@contextmanager
def queued(slots: int, folder: Path) -> Iterator[RunTrials]:
    """At its best: `max_queue_len` as well, so that a look can start as many trials as there are slots."""
    with _session(slots, folder, queue=slots) as run:
        yield run


@contextmanager
def _session(slots: int, folder: Path, queue: int) -> Iterator[RunTrials]:
    spark = spark_session(slots, folder)

    def run(trials: int) -> int:
        results = SparkTrials(parallelism=slots, spark_session=spark)
        fmin(
            train,
            hp.uniform("x", LOW, HIGH),
            algo=rand.suggest,
            max_evals=trials,
            max_queue_len=queue,
            trials=results,
            rstate=np.random.default_rng(1),
            show_progressbar=False,
            verbose=False,
        )
        return sum(result["status"] == STATUS_OK for result in results.results)

    try:
        yield run
    finally:
        spark.stop()
