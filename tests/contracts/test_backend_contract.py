"""What every compute backend does, on Spark in local mode and on a real standalone cluster."""

import threading
from collections.abc import Iterator

import pytest

from tests.compute.probes import RUN, SHIP_PROBES, run_all, wait_status
from tests.machine import is_running
from tests.waiting import wait_for
from tuning_service.compute.base import ComputeBackend, HandleStatus
from tuning_service.compute.spark import SparkBackend, SparkSettings
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.job import Resources

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module", params=["local", "standalone"])
def settings(request: pytest.FixtureRequest) -> SparkSettings:
    if request.param == "local":
        return SparkSettings(master="local[4]", conf=SHIP_PROBES)
    cluster = request.getfixturevalue("standalone_cluster")
    return SparkSettings(master=cluster.master, conf=cluster.conf | SHIP_PROBES)


@pytest.fixture(scope="module")
def backend(settings: SparkSettings) -> Iterator[ComputeBackend]:
    backend = SparkBackend(settings, runner=RUN)
    backend.start()
    wait_for(lambda: backend.capacity().cpus == 4, "all executors")
    yield backend
    backend.stop()


def name(request: pytest.FixtureRequest, number: int = 0) -> str:
    return f"{request.node.originalname}-{number}"


def test_tasks_cannot_be_submitted_before_the_start(settings, probes):
    backend = SparkBackend(settings, runner=RUN)
    with pytest.raises(TryAgain):
        backend.submit([probes.ticket("early")], Resources())
    assert backend.poll(["early"]) == {"early": HandleStatus.LOST}
    assert backend.capacity().slots(Resources()) == 0
    backend.cancel(["early"])
    backend.stop()


def test_a_second_start_changes_nothing(backend, probes, request):
    ticket = probes.ticket(name(request), wait=True)
    backend.submit([ticket], Resources())
    backend.start()
    assert backend.poll([ticket.task_id]) == {ticket.task_id: HandleStatus.PENDING}
    probes.release()
    wait_status(backend, [ticket.task_id], HandleStatus.ENDED)


def test_an_unknown_handle_is_lost(backend):
    assert backend.poll(["nobody", "knows"]) == {"nobody": HandleStatus.LOST, "knows": HandleStatus.LOST}
    backend.cancel(["nobody"])


def test_submitting_nothing_is_fine(backend):
    backend.submit([], Resources())


def test_each_task_ends_by_itself_while_its_siblings_go_on(backend, probes, request):
    names = [name(request, i) for i in range(3)]
    backend.submit([probes.ticket(n, wait=True) for n in names], Resources())
    for n in names:
        probes.seen(n)
    assert set(backend.poll(names).values()) == {HandleStatus.PENDING}
    probes.release(names[1])
    wait_status(backend, [names[1]], HandleStatus.ENDED)
    assert set(backend.poll([names[0], names[2]]).values()) == {HandleStatus.PENDING}
    probes.release()
    wait_status(backend, names, HandleStatus.ENDED)
    wait_status(backend, names, HandleStatus.ENDED)  # asking does not make it forget


def test_more_tasks_than_slots_all_run(backend, probes, request):
    names = [name(request, i) for i in range(9)]
    run_all(backend, [probes.ticket(n) for n in names])
    assert {probes.seen(n)["attempt"] for n in names} == {0}


def test_a_later_batch_does_not_queue_behind_an_earlier_one(backend, probes, request):
    long, short = [name(request, i) for i in range(8)], name(request, 8)
    backend.submit([probes.ticket(n, wait=True) for n in long], Resources())

    def running() -> list[str]:
        return [n for n in long if (probes.folder / f"{n}.0.json").exists()]

    wait_for(lambda: len(running()) == 4, "all slots to be taken")
    backend.submit([probes.ticket(short)], Resources())
    tracker = backend._connection._sc.statusTracker()
    wait_for(lambda: len(tracker.getActiveStageIds()) == 2, "both to be scheduled")
    held = running()
    probes.release(held[0])
    probes.seen(short)
    wait_status(backend, [short], HandleStatus.ENDED)
    probes.release()
    wait_status(backend, long, HandleStatus.ENDED)
    first = (probes.folder / f"{short}.0.json").stat().st_mtime_ns
    assert all((probes.folder / f"{n}.0.json").stat().st_mtime_ns > first for n in set(long) - set(held))


def test_batches_from_many_threads_all_run(backend, probes, request):
    names = [name(request, i) for i in range(24)]

    def submit(part: list[str]) -> None:
        backend.submit([probes.ticket(n) for n in part], Resources())

    threads = [threading.Thread(target=submit, args=(names[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_status(backend, names, HandleStatus.ENDED)
    for n in names:
        probes.seen(n, seconds=0)


def test_a_task_cannot_be_submitted_twice_at_once(backend, probes, request):
    ticket = probes.ticket(name(request), wait=True)
    backend.submit([ticket], Resources())
    with pytest.raises(ValueError, match="twice"):
        backend.submit([ticket], Resources())
    probes.release()
    wait_status(backend, [ticket.task_id], HandleStatus.ENDED)


def test_cancel_ends_by_force_and_frees_the_slot(backend, probes, request):
    names = [name(request, i) for i in range(4)]
    backend.submit([probes.ticket(n, wait=True) for n in names], Resources())
    workers = [probes.seen(n)["pid"] for n in names]
    backend.cancel(names)
    wait_for(lambda: HandleStatus.PENDING not in backend.poll(names).values(), "the cancellation", within_s=10)
    wait_for(lambda: not any(map(is_running, workers)), "the Python workers to be gone", within_s=20)
    run_all(backend, [probes.ticket(name(request, 9))])


def test_a_cancelled_task_waits_for_siblings_that_were_not(backend, probes, request):
    first, second = name(request, 0), name(request, 1)
    backend.submit([probes.ticket(n, wait=True) for n in (first, second)], Resources())
    worker = probes.seen(first)["pid"]
    probes.seen(second)
    backend.cancel([first])
    assert backend.poll([second]) == {second: HandleStatus.PENDING}
    probes.release(second)
    wait_status(backend, [second], HandleStatus.ENDED)
    wait_for(lambda: backend.poll([first])[first] is not HandleStatus.PENDING, "the cancellation", within_s=10)
    wait_for(lambda: not is_running(worker), "its Python worker to be gone", within_s=20)


def test_a_runner_that_raises_ends_its_task_alone_and_is_logged(backend, probes, request, caplog):
    bad, good = name(request, 0), name(request, 1)
    backend.submit([probes.ticket(bad, **{"raise": "no such luck"}), probes.ticket(good, wait=True)], Resources())
    wait_status(backend, [bad], HandleStatus.ENDED)
    assert "no such luck" in caplog.text
    assert backend.poll([good]) == {good: HandleStatus.PENDING}
    probes.release()
    wait_status(backend, [good], HandleStatus.ENDED)


def test_a_python_worker_that_dies_is_replaced_by_a_second_attempt(backend, probes, request):
    dying, sibling = name(request, 0), name(request, 1)
    backend.submit([probes.ticket(dying, exit=9), probes.ticket(sibling, wait=True)], Resources())
    assert probes.seen(dying, attempt=1)["attempt"] == 1
    wait_status(backend, [dying], HandleStatus.ENDED)
    assert backend.poll([sibling]) == {sibling: HandleStatus.PENDING}
    probes.release()
    wait_status(backend, [sibling], HandleStatus.ENDED)
    assert probes.seen(sibling)["attempt"] == 0
