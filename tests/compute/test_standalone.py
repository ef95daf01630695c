"""What only a cluster shows: GPU scheduling by Spark, executors that die, masters that are away."""

import os
import signal
import socket
import venv
from collections.abc import Iterator

import pytest

from tests.compute.probes import RUN, SHIP_PROBES, run_all, wait_status
from tests.machine import command_of, descendants, is_running
from tests.spark_cluster import StandaloneCluster
from tests.waiting import wait_for
from tuning_service.compute import connection
from tuning_service.compute.base import Capacity, HandleStatus
from tuning_service.compute.spark import SparkBackend, SparkSettings
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.job import Resources

pytestmark = pytest.mark.spark
WHOLE = Capacity(cpus=4, gpus=4, largest_cpus=2, largest_gpus=2)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the standard library and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True, with_pip=False)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def backend(standalone_cluster: StandaloneCluster, bare_python: str) -> Iterator[SparkBackend]:
    conf = standalone_cluster.conf | SHIP_PROBES
    settings = SparkSettings(master=standalone_cluster.master, conf=conf, python=bare_python, connect_timeout_s=60)
    backend = SparkBackend(settings, runner=RUN)
    backend.start()
    wait_for(lambda: backend.capacity() == WHOLE, "all executors")
    yield backend
    backend.stop()


def test_executors_need_nothing_but_python(backend, probes, bare_python):
    run_all(backend, [probes.ticket("task")])
    seen = probes.seen("task")
    assert seen["python"] == bare_python
    assert ".zip/" in seen["package"]


def test_each_task_has_a_gpu_of_its_own(backend, probes):
    names = [f"one{i}" for i in range(4)]
    backend.submit([probes.ticket(name, wait=True) for name in names], Resources(gpus=1))
    assert sorted(gpu for name in names for gpu in probes.seen(name)["gpus"]) == ["0", "1", "2", "3"]
    probes.release()
    wait_status(backend, names, HandleStatus.ENDED)


def test_two_tasks_share_a_gpu_by_halves(backend, probes):
    names = [f"half{i}" for i in range(4)]
    backend.submit([probes.ticket(name, wait=True) for name in names], Resources(gpus=0.5))
    given_out = [gpu for name in names for gpu in probes.seen(name)["gpus"]]
    assert len(given_out) == 4
    assert max(map(given_out.count, given_out)) <= 2
    probes.release()
    wait_status(backend, names, HandleStatus.ENDED)


def test_a_task_of_two_cpus_and_two_gpus_has_an_executor_to_itself(backend, probes):
    names = [f"large{i}" for i in range(3)]
    backend.submit([probes.ticket(name, wait=True) for name in names], Resources(cpus=2, gpus=2))
    wait_for(lambda: len(list(probes.folder.glob("large*.json"))) == 2, "two of them to run")
    first = [probes.seen(file.name.split(".")[0]) for file in probes.folder.glob("large*.json")]
    assert sorted(sorted(seen["gpus"]) for seen in first) == [["0", "1"], ["2", "3"]]
    probes.release()
    wait_status(backend, names, HandleStatus.ENDED)


def test_a_killed_executors_task_is_attempted_again_and_its_siblings_go_on(backend, probes, standalone_cluster):
    names = [f"task{i}" for i in range(4)]
    backend.submit([probes.ticket(name, wait=True) for name in names], Resources(gpus=1))
    workers = {name: probes.seen(name)["pid"] for name in names}
    executor = standalone_cluster.executor_of(workers["task0"])
    victims = [name for name, pid in workers.items() if standalone_cluster.executor_of(pid) == executor]
    os.kill(executor, signal.SIGKILL)
    assert [probes.seen(name, attempt=1)["attempt"] for name in victims] == [1, 1]
    assert set(backend.poll(names).values()) == {HandleStatus.PENDING}
    probes.release()
    wait_status(backend, names, HandleStatus.ENDED)
    survivors = set(names) - set(victims)
    assert not [name for name in survivors if list(probes.folder.glob(f"{name}.1.json"))]
    wait_for(lambda: backend.capacity() == WHOLE, "the capacity to be whole again")


def jvms() -> list[int]:
    return [pid for pid in descendants(os.getpid()) if b"PythonGatewayServer" in command_of(pid) and is_running(pid)]


def test_a_master_that_is_not_there_is_named_before_a_jvm_is_started(monkeypatch):
    monkeypatch.setattr(connection, "launch_gateway", lambda *_: pytest.fail("a JVM was started"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TryAgain, match=f"spark://127.0.0.1:{port}"):
        SparkBackend(SparkSettings(master=f"spark://127.0.0.1:{port}")).start()


def test_a_master_that_never_answers_is_given_up_in_time(backend):
    backend.stop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        master = f"spark://127.0.0.1:{server.getsockname()[1]}"
        silent = SparkBackend(SparkSettings(master=master, connect_timeout_s=4))
        with pytest.raises(TryAgain, match=master):
            silent.start()
    assert not jvms()


def test_a_cluster_that_went_away_loses_the_tasks_and_can_be_joined_again(backend, probes):
    backend.stop()
    with StandaloneCluster(workers=1, cores=1, gpus=0) as cluster:
        conf = {k: v for k, v in cluster.conf.items() if "gpu" not in k} | SHIP_PROBES
        settings = SparkSettings(master=cluster.master, conf=conf, patience_s=2, connect_timeout_s=60)
        lonely = SparkBackend(settings, runner=RUN)
        try:
            lonely.start()
            wait_for(lambda: lonely.capacity().cpus == 1, "the executor")
            lonely.submit([probes.ticket("running", wait=True)], Resources())
            probes.seen("running")
            cluster.stop_workers()
            wait_for(lambda: lonely.capacity().cpus == 0, "the executor to be missed")
            wait_status(lonely, ["running"], HandleStatus.LOST)
            with pytest.raises(TryAgain):
                lonely.submit([probes.ticket("again")], Resources())
            probes.release()
            cluster.start_worker()
            lonely.start()
            run_all(lonely, [probes.ticket("again")])
        finally:
            lonely.stop()
