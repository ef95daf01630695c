"""Spark alone, spawning the same process in each task: what a service on Spark cannot beat by much."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.throughput.contender import HIGH, LOW, RunTrials, spark_session, train, train_clean


@contextmanager
def one_job(slots: int, folder: Path) -> Iterator[RunTrials]:
    """All trials as one Spark job with a task each."""
    with _one_job(slots, folder, train) as run:
        yield run


@contextmanager
def one_job_clean(slots: int, folder: Path) -> Iterator[RunTrials]:
    """As `one_job`, at its best: the processes start without what Spark adds to their PYTHONPATH."""
    with _one_job(slots, folder, train_clean) as run:
        yield run


@contextmanager
def _one_job(slots: int, folder: Path, objective: Callable[[float], float]) -> Iterator[RunTrials]:
    spark = spark_session(slots, folder)

    def run(trials: int) -> int:
        return len(spark.sparkContext.parallelize(_points(trials), trials).map(objective).collect())

    try:
        yield run
    finally:
        spark.stop()


@contextmanager
def job_per_task(slots: int, folder: Path) -> Iterator[RunTrials]:
    """Each trial as a Spark job of one task, from as many threads as there are slots."""
    spark = spark_session(slots, folder)

    def one(x: float) -> list[float]:
        return spark.sparkContext.parallelize([x], 1).map(train).collect()

    def run(trials: int) -> int:
        with ThreadPoolExecutor(slots) as threads:
            return sum(map(len, threads.map(one, _points(trials))))

    try:
        yield run
    finally:
        spark.stop()


def _points(count: int) -> list[float]:
    draw = random.Random(1)
    return [draw.uniform(LOW, HIGH) for _ in range(count)]
