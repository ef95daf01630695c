"""Spark alone, spawning the same process in each task: what a service on Spark cannot beat by much."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.throughput.contender import HIGH, LOW, RunTrials, spark_session, train


@contextmanager
def one_job(slots: int, folder: Path) -> Iterator[RunTrials]:
    """All trials as one Spark job with a task each."""
    spark = spark_session(slots, folder)

    def run(trials: int) -> int:
        points = _points(trials)
        return len(spark.sparkContext.parallelize(points, trials).map(train).collect())

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
