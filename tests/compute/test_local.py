"""What is particular to local mode: GPU addresses, and the end of everything with the service."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute.probes import RUN, SHIP_PROBES, Probes, run_all, wait_status
from tests.machine import command_of, descendants, is_running
from tests.waiting import wait_for
from tuning_service.compute import connection, spark
from tuning_service.compute.base import Capacity, HandleStatus
from tuning_service.compute.settings import SparkSettings
from tuning_service.compute.spark import SparkBackend
from tuning_service.domain.errors import GiveUp, TryAgain
from tuning_service.domain.job import Resources

pytestmark = pytest.mark.spark
ROOT = Path(__file__).parents[2]
CTRL_C = signal.getsignal(signal.SIGINT)  # before any Spark; a shell's background job ignores it


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkBackend]:
    output = str(tmp_path_factory.mktemp("spark") / "output.log")
    conf = SHIP_PROBES | {"spark.store.secret": "hush-hush"}
    settings = SparkSettings(master="local[4]", conf=conf, local_gpus=("0", "1"), output=output)
    backend = SparkBackend(settings, runner=RUN)
    backend.start()
    yield backend
    backend.stop()


@pytest.mark.parametrize("master", ["local[x]", "local4", "spark://", "spark://host"])
def test_a_master_that_cannot_be_read_is_refused(master):
    with pytest.raises(GiveUp, match=r"Use .*spark://host:7077"):
        SparkSettings(master=master)


def test_ctrl_c_and_the_import_path_are_left_as_they_were(backend):
    assert signal.getsignal(signal.SIGINT) is CTRL_C
    assert not [entry for entry in sys.path if "spark" in entry and "userFiles" in entry]


def test_capacity_is_the_slots_and_the_gpus_of_the_settings(backend):
    assert backend.capacity() == Capacity(cpus=4, gpus=2, largest_cpus=4, largest_gpus=2)


def test_what_spark_prints_goes_to_the_file(backend):
    assert "log4j" in Path(backend.settings.output).read_text()


def test_secrets_in_the_conf_reach_spark_and_not_the_command_line(backend):
    command = command_of(backend._connection._gateway.proc.pid)
    assert b"spark.scheduler.mode=FAIR" in command
    assert b"hush-hush" not in command
    assert backend._connection._sc.getConf().get("spark.store.secret") == "hush-hush"


def test_gpus_are_shared_out_and_come_back(backend, probes):
    backend.submit([probes.ticket(f"whole{i}", wait=True) for i in range(2)], Resources(gpus=1))
    assert {tuple(probes.seen(f"whole{i}")["gpus"]) for i in range(2)} == {("0",), ("1",)}
    with pytest.raises(TryAgain, match="GPU"):
        backend.submit([probes.ticket("late")], Resources(gpus=0.5))
    assert backend.poll(["late"]) == {"late": HandleStatus.LOST}
    run_all(backend, [probes.ticket("without")])
    assert probes.seen("without")["gpus"] == []
    probes.release()
    wait_status(backend, ["whole0", "whole1"], HandleStatus.ENDED)
    run_all(backend, [probes.ticket("both")], Resources(gpus=2))
    assert sorted(probes.seen("both")["gpus"]) == ["0", "1"]


def test_half_gpus_are_shared_by_two(backend, probes):
    names = [f"half{i}" for i in range(4)]
    backend.submit([probes.ticket(name, wait=True) for name in names], Resources(gpus=0.5))
    given_out = sorted(gpu for name in names for gpu in probes.seen(name)["gpus"])
    assert given_out == ["0", "0", "1", "1"]
    probes.release()
    wait_status(backend, names, HandleStatus.ENDED)


def test_memory_of_ended_tasks_is_bounded(backend, probes, monkeypatch):
    monkeypatch.setattr(spark, "_REMEMBERED", 10)
    names = [f"many{i}" for i in range(30)]
    backend.submit([probes.ticket(name) for name in names], Resources(gpus=0))
    wait_for(lambda: HandleStatus.PENDING not in backend.poll(names).values(), "all to end")
    assert list(backend.poll(names).values()).count(HandleStatus.ENDED) == 10
    assert not backend._batches


def test_tasks_that_no_executor_can_begin_fail_in_sparks_own_words(backend, probes, monkeypatch):
    monkeypatch.setattr(backend._connection, "_python", "/no/such/python")
    backend.submit([probes.ticket("first"), probes.ticket("second")], Resources())
    wait_status(backend, ["first", "second"], HandleStatus.FAILED)
    assert 'Cannot run program "/no/such/python"' in backend.failure("first")


PYTHON_ERROR = """PythonException: Traceback (most recent call last):
  File "worker.py", line 1
    check()
PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] 3.10

\tat org.apache.spark.Worker"""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PYTHON_ERROR, "PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] 3.10"),
        ("ExecutorLostFailure (executor 2 exited) Reason: 50", "ExecutorLostFailure (executor 2 exited) Reason: 50"),
    ],
)
def test_the_last_error_of_a_spark_job_is_told(error, words):
    failed = "Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent failure: Lost task 0.3"
    message = f"{failed} in stage 3.0 (TID 9) (10.0.0.7 executor 1): {error}\nDriver stacktrace:"
    assert connection._told(message) == (words, True)


def test_a_spark_job_that_was_cancelled_is_nobodys_failure_and_one_that_nothing_can_run_is():
    assert connection._told("Job 3 cancelled because SparkContext was shut down") == (
        *("Job 3 cancelled because SparkContext was shut down", False),
    )
    aborted = "Job aborted due to stage failure: Aborting TaskSet 0.0: task 0 cannot run anywhere\nDriver stacktrace:"
    assert connection._told(aborted) == ("Aborting TaskSet 0.0: task 0 cannot run anywhere", True)
    assert connection._told("").words == "unknown"


def test_a_jvm_that_was_killed_loses_the_tasks_and_the_next_start_is_a_fresh_one(backend, probes):
    backend.submit([probes.ticket("running", wait=True)], Resources(gpus=2))
    worker = probes.seen("running")["pid"]
    os.kill(backend._connection._gateway.proc.pid, signal.SIGKILL)
    with pytest.raises(TryAgain):
        backend.submit([probes.ticket("next")], Resources())
    wait_status(backend, ["running"], HandleStatus.LOST, 10)
    assert backend.capacity().slots(Resources()) == 0
    wait_for(lambda: not is_running(worker), "its Python worker to be gone", within_s=10)
    with pytest.raises(TryAgain, match="no connection"):
        backend.submit([probes.ticket("next")], Resources())
    backend.start()
    run_all(backend, [probes.ticket("next")], Resources(gpus=2))


def test_stop_leaves_no_process(backend, probes):
    backend.submit([probes.ticket("endless", wait=True)], Resources())
    probes.seen("endless")
    processes = descendants(backend._connection._gateway.proc.pid)
    processes.append(backend._connection._gateway.proc.pid)
    assert len(processes) >= 3  # the JVM, PySpark's daemon, a worker
    backend.stop()
    wait_for(lambda: not any(map(is_running, processes)), "all to be gone", within_s=10)
    assert backend.poll(["endless"]) == {"endless": HandleStatus.LOST}
    backend.stop()


def test_a_conf_that_contradicts_itself_is_refused_in_sparks_own_words(backend):
    backend.stop()
    contradictory = SparkSettings(master="local[2]", conf={"spark.task.cpus": "8"})
    with pytest.raises(TryAgain, match="has to be >= the number of cpus per task = 8"):
        SparkBackend(contradictory).start()


def test_nothing_outlives_a_service_that_was_killed(tmp_path):
    script = tmp_path / "service.py"
    script.write_text(
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from tests.compute.probes import RUN, SHIP_PROBES, Probes\n"
        "from tuning_service.compute.spark import SparkBackend, SparkSettings\n"
        "from tuning_service.domain.job import Resources\n"
        "backend = SparkBackend(SparkSettings(master='local[2]', conf=SHIP_PROBES), runner=RUN)\n"
        "backend.start()\n"
        "backend.submit([Probes(Path(sys.argv[1])).ticket('running', wait=True)], Resources())\n"
        "threading.Event().wait()\n"
    )
    probes = Probes(tmp_path / "probes")
    service = subprocess.Popen(
        [sys.executable, script, probes.folder], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    try:
        worker = probes.seen("running")["pid"]
        processes = descendants(service.pid)
        assert worker in processes
    finally:
        service.kill()
        service.wait()
    wait_for(lambda: not any(map(is_running, processes)), "the JVM and its Python workers to be gone", within_s=10)
