"""TuningJobCtrl and Reconciler on a real database, with the real task desk and the real algorithm host."""

import dataclasses
import threading
import time
from collections import Counter

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from tests.control import clusters
from tests.control.house import vanish
from tests.samples import a_tenant
from tests.waiting import PATIENCE_S, wait_for
from tuning_service.compute.base import Capacity, HandleStatus
from tuning_service.control import decide, reconciler
from tuning_service.control.job_ctrl import TuningJobCtrl
from tuning_service.domain.errors import LeaseLost, NotFound, TryAgain
from tuning_service.domain.job import Budget, Resources
from tuning_service.domain.pool import Pool
from tuning_service.domain.state import OPEN_TASKS, JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import Outcome
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.runner.protocol import Claim, Report
from tuning_service.storage.control import ControlRows


def assert_all_completed_once(house, job, count):
    trials = house.trials(job)
    assert [t.number for t in trials] == list(range(count))
    assert {t.status for t in trials} == {TrialStatus.COMPLETED}
    assert {t.value for t in trials} == {0.5}
    succeeded = Counter(t.trial_id for t in house.tasks(job) if t.status is TaskStatus.SUCCEEDED)
    assert set(succeeded.values()) == {1}
    with house.store.read() as unit:
        assert len(unit.control.settled_trials(job.id)) == count


@pytest.mark.parametrize(
    "kind",
    [
        clusters.Cluster,
        clusters.VanishesAfterSubmit,
        clusters.RefusesSubmit,
        clusters.Breaks,
        clusters.EndsWithoutReport,
    ],
)
def test_whatever_the_cluster_does_each_trial_counts_once_and_the_total_is_what_was_asked(house, kind):
    backend = house.cluster(kind)
    house.controller(backend)
    job = house.submit(Budget(trials=6, parallel=2))
    assert house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED).status is JobStatus.COMPLETED
    assert_all_completed_once(house, job, 6)
    assert backend.most_open <= 2


def test_a_job_that_its_controller_cannot_step_says_so_until_it_can(house, monkeypatch):
    monkeypatch.setattr(reconciler, "_LONGEST_PAUSE_S", 0.05)
    mended, look = threading.Event(), TuningJobCtrl._look

    def breaks(self, grant):
        return look(self, grant) if mended.is_set() else 1 // 0

    monkeypatch.setattr(TuningJobCtrl, "_look", breaks)
    house.controller(house.cluster())
    job = house.submit(Budget(trials=2))
    said = "Waits: the service cannot go on with it, and tries again: ZeroDivisionError."
    wait_for(lambda: house.job(job).reason.startswith(said), lambda: house.job(job))
    mended.set()
    assert house.until_status(job, JobStatus.COMPLETED).reason == ""


def test_a_trial_that_is_always_lost_fails_with_the_reason(house):
    house.controller(house.cluster(clusters.LosesEverything))
    job = house.submit(Budget(trials=1))
    ended = house.until_status(job, JobStatus.FAILED)
    assert "Lost 5 times; the last time: lost: its Spark task ended without a report" in ended.reason
    assert len(house.tasks(job)) == 5


def test_what_the_service_loses_again_and_again_is_tried_again_after_pauses_and_never_given_up(house):
    backend = house.cluster(clusters.FetchesNothing)
    house.controller(backend)
    job = house.submit(Budget(trials=1))
    said = "times, and is tried again after a pause. The last time: no program"
    wait_for(lambda: said in house.job(job).reason, lambda: house.job(job))
    assert house.until_status(job, JobStatus.COMPLETED).reason == ""
    assert [task.status for task in house.tasks(job)] == [*[TaskStatus.LOST] * 6, TaskStatus.SUCCEEDED]


def test_a_job_whose_trials_all_fail_gives_up_and_can_be_resumed(house):
    house.controller(house.cluster(clusters.Fails))
    job = house.submit(Budget(trials=20, parallel=1, failures=3))
    assert "The last 3 trials all failed. The last one: exit code 1" in house.until_status(job, JobStatus.FAILED).reason
    assert len(house.trials(job)) == 3
    house.aim(job, JobTarget.RUNNING)
    wait_for(lambda: len(house.trials(job)) > 3, lambda: house.job(job))
    house.until_status(job, JobStatus.FAILED)
    assert len(house.trials(job)) == 6


def test_a_job_whose_tasks_never_start_can_be_stopped_resumed_and_deleted(house):
    backend = house.cluster(clusters.NeverStarts)
    house.controller(backend)
    job = house.submit(Budget(trials=4, parallel=2))
    wait_for(lambda: len(backend.submitted) == 2)
    house.aim(job, JobTarget.STOPPED)
    house.until_status(job, JobStatus.STOPPED)
    wait_for(lambda: set(backend.cancelled) == set(backend.submitted))  # after the status is stored
    assert {t.status for t in house.trials(job)} == {TrialStatus.STOPPED}
    house.aim(job, JobTarget.RUNNING)
    wait_for(lambda: len(backend.submitted) == 4)
    assert len(house.trials(job)) == 2, "the stopped trials go on before new ones are made"
    house.aim(job, JobTarget.DELETED)
    with pytest.raises(NotFound):
        wait_for(lambda: not house.job(job))
    wait_for(lambda: set(backend.cancelled) == set(backend.submitted))  # after the status is stored


def test_stopping_tells_runners_and_resuming_finishes_what_was_asked(house):
    backend = house.cluster()
    backend.go_on.clear()
    house.controller(backend)
    job = house.submit(Budget(trials=5, parallel=2))
    for _ in range(2):
        assert backend.claimed.acquire(timeout=PATIENCE_S)
    house.aim(job, JobTarget.STOPPED)
    house.until_status(job, JobStatus.STOPPED)
    assert {t.status for t in house.tasks(job)} == {TaskStatus.STOPPED}
    assert backend.cancelled == []
    backend.go_on.set()
    house.aim(job, JobTarget.RUNNING)
    house.until_status(job, JobStatus.COMPLETED)
    assert_all_completed_once(house, job, 5)


def test_deleting_leaves_no_log_behind(house, tmp_path):
    backend = house.cluster()
    house.controller(backend)
    job = house.submit(Budget(trials=1))
    house.until_status(job, JobStatus.COMPLETED)
    house.artifacts.put_log(job.tenant_id, job.id, "task", 0, b"text")
    house.aim(job, JobTarget.DELETED)
    with pytest.raises(NotFound):
        wait_for(lambda: not house.job(job))
    assert [p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("house", ["sqlite_store", "postgres_store"], indirect=True)
def test_a_service_that_was_killed_and_started_again_counts_nothing_twice(house):
    first = house.cluster(slots=3)
    dead = house.controller(first, lease_s=1000.0)
    job = house.submit(Budget(trials=8, parallel=3))
    wait_for(lambda: any(t.status is TrialStatus.COMPLETED for t in house.trials(job)))
    first.go_on.clear()
    vanish(dead)
    house.controllers.remove(dead)
    kept = [t for t in house.trials(job) if t.status is TrialStatus.COMPLETED]
    first.stop()
    assert house.job(job).status in {JobStatus.RUNNING, JobStatus.COMPLETED}

    house.controller(house.cluster(slots=3), alone=True)
    house.until_status(job, JobStatus.COMPLETED)
    assert_all_completed_once(house, job, 8)
    assert [t for t in house.trials(job) if t.id in {k.id for k in kept}] == kept


@pytest.mark.parametrize("house", ["sqlite_store", "postgres_store"], indirect=True)
def test_of_two_controllers_each_job_is_driven_by_one_and_both_work(house):
    backends = [house.cluster(), house.cluster()]
    for backend in backends:
        house.controller(backend)
    jobs = [house.submit(Budget(trials=4, parallel=2)) for _ in range(6)]
    for job in jobs:
        house.until_status(job, JobStatus.COMPLETED)
        assert_all_completed_once(house, job, 4)
        drivers = [any(t.id in b.submitted for t in house.tasks(job)) for b in backends]
        assert drivers.count(True) == 1
    submitted = [task for backend in backends for task in backend.submitted]
    assert len(submitted) == len(set(submitted)) == 24


def test_whoever_lost_the_lease_meanwhile_launches_nothing_more(house):
    job = house.submit(Budget(trials=4, parallel=1))
    backend = house.cluster()
    backend.go_on.clear()
    with house.store.write() as unit:
        [lease] = unit.control.claim_jobs(unit.control.claimable_jobs(0.0, held=()), "one", 0.0, 10.0)
    ctrl = TuningJobCtrl(lease, house.tools(backend))
    wait_for(lambda: ctrl.step(lambda d: (d.wanted, "")) is not None and backend.submitted)
    with house.store.write() as unit:
        assert unit.control.claim_jobs(unit.control.claimable_jobs(20.0, held=()), "two", 20.0, 10.0)
    backend.go_on.set()
    wait_for(lambda: all(t.status not in OPEN_TASKS for t in house.tasks(job)))
    before = house.trials(job)
    with pytest.raises(LeaseLost):
        wait_for(lambda: not ctrl.step(lambda d: (d.wanted, "")) and False)
    ctrl.close()
    assert house.trials(job) == before
    assert len(backend.submitted) == 1


@pytest.mark.parametrize("house", ["postgres_store"], indirect=True)
def test_a_runner_that_reports_its_end_while_the_controller_ends_another_task_gets_in_nobodys_way(house, monkeypatch):
    """Both change two rows in common, and would wait for each other if they locked them in different orders."""
    job = house.submit(Budget(trials=2, parallel=2))
    backend = house.cluster(clusters.NeverStarts)
    with house.store.write() as unit:
        [lease] = unit.control.claim_jobs(unit.control.claimable_jobs(0.0, held=()), "one", 0.0, 10.0)
    ctrl = TuningJobCtrl(lease, house.tools(backend))
    wait_for(lambda: ctrl.step(lambda d: (d.wanted, "")) is not None and len(backend.submitted) == 2)
    token = TaskTokens(house.store).of
    lost, stopped = (
        house.desk.claim(task_id, token(task_id), Claim(attempt=0, nonce=task_id, host="here"))
        for task_id in backend.submitted
    )
    backend._status[lost.task_id] = HandleStatus.ENDED
    with house.store.write() as unit:
        scope = unit.for_tenant(house.alice)
        assert scope.request_trial_stop(scope.trial(job.id, int(stopped.context["trial"])), time.time())

    def waits():
        with house.store.read() as unit:
            found = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return unit._connection.execute(found).scalar()

    answers = []
    last = Report(outcome=Outcome(status=TaskStatus.STOPPED))
    runner = threading.Thread(target=lambda: answers.append(house.desk.report(stopped.task_id, stopped.token, last)))
    end_task = ControlRows.end_task

    def ends_meanwhile(rows, task, *told):
        ended = end_task(rows, task, *told)
        runner.start()
        wait_for(waits)
        return ended

    monkeypatch.setattr(ControlRows, "end_task", ends_meanwhile)
    wait_for(lambda: ctrl.step(lambda d: (0, "")) is not None and runner.ident)
    runner.join()
    ctrl.close()
    assert len(answers) == 1
    assert sorted(task.status for task in house.tasks(job)) == ["lost", "stopped"]


def test_free_slots_are_filled_in_steps_that_follow_each_other_at_once(house, monkeypatch):
    monkeypatch.setattr(decide, "MOST_ASKED", 2)
    house.submit(Budget(trials=7, parallel=7))
    backend = house.cluster(clusters.NeverStarts)
    told = threading.Event()
    with house.store.write() as unit:
        [lease] = unit.control.claim_jobs(unit.control.claimable_jobs(0.0, held=()), "one", 0.0, 10.0)
    ctrl = TuningJobCtrl(lease, house.tools(backend, notify=lambda _: told.set()))
    again = True
    while len(backend.submitted) < 7:
        assert again or told.wait(PATIENCE_S)  # the algorithm is at work, and tells when it is done
        told.clear()
        again = ctrl.step(lambda d: (d.wanted, ""))
    ctrl.close()


def test_a_tenants_quota_holds_over_its_jobs_that_begin_at_once(house):
    backend = house.cluster(slots=8)
    backend.go_on.clear()
    bob = a_tenant(house.store, "b", max_parallel=2)
    jobs = [house.submit(Budget(trials=2), bob) for _ in range(5)]
    house.controller(backend)
    for _ in range(2):
        assert backend.claimed.acquire(timeout=PATIENCE_S)
    waits = "Waits: the tenant's quota of 2 trials in parallel is in use."
    wait_for(lambda: sum(house.job(j).reason == waits for j in jobs) == 3)
    backend.go_on.set()
    for job in jobs:
        house.until_status(job, JobStatus.COMPLETED)
    assert backend.most_open == 2


def test_a_tenants_quota_holds_over_two_controllers(house):
    first, second = house.cluster(slots=8), house.cluster(slots=8)
    bob = a_tenant(house.store, "b", max_parallel=3)
    open_now, most = set(), 0
    lock = threading.Lock()

    def counted(backend, submit):
        def counting(tickets, resources):
            nonlocal most
            with lock:
                open_now.update(ticket.task_id for ticket in tickets)
                # A task whose trial has ended takes no place, whether or not the played runner has noticed.
                with house.store.read() as unit:
                    running, _ = unit.quotas.usage(bob.tenant_id).running()
                most = max(most, running)
            submit(tickets, resources)

        backend.submit = counting

    for backend in (first, second):
        counted(backend, backend.submit)
    controller = house.controller(first)
    jobs = [house.submit(Budget(trials=6, parallel=3), bob) for _ in range(3)]
    wait_for(lambda: len(controller._jobs) == 3)
    controller._claim = lambda: None  # the rest is for the second
    house.controller(second)
    jobs += [house.submit(Budget(trials=6, parallel=3), bob) for _ in range(3)]
    for job in jobs:
        house.until_status(job, JobStatus.COMPLETED)
    assert most <= 3
    assert first.submitted
    assert second.submitted


def test_what_a_controller_left_behind_that_has_ended_holds_the_quota_and_is_said(house):
    backend = house.cluster()
    backend.go_on.clear()
    bob = a_tenant(house.store, "b", max_parallel=1)
    with house.store.write() as unit:
        unit.pools.add(Pool(name="other", master="local[1]", created_at=0.0))
    first = house.controller(backend, pool="other")
    house.submit(Budget(trials=1), bob, pool="other")
    assert backend.claimed.acquire(timeout=PATIENCE_S)
    first.stop()
    house.controller(house.cluster())
    waiting = house.submit(Budget(trials=1), bob)
    waits = "Waits: the tenant's quota of 1 trial in parallel is in use."
    wait_for(lambda: house.job(waiting).reason == waits, lambda: house.job(waiting))


def test_gpu_hours_that_are_used_up_hold_jobs_with_gpus_back_and_no_others(house):
    backend = house.cluster(slots=4)
    backend.capacity = lambda: Capacity(cpus=4, gpus=4, largest_cpus=4, largest_gpus=4)
    with house.store.write() as unit:
        unit.tenancy.set_quotas(dataclasses.replace(house.alice.tenant, max_gpu_hours=0))
    house.controller(backend)
    held = house.submit(Budget(trials=1), resources=Resources(gpus=1))
    free = house.submit(Budget(trials=1))
    house.until_status(free, JobStatus.COMPLETED)
    waits = "Waits: the tenant has used its 0 GPU-hours of this month."
    wait_for(lambda: house.job(held).reason == waits)
    with house.store.write() as unit:
        unit.tenancy.set_quotas(dataclasses.replace(house.alice.tenant, max_gpu_hours=1))
    house.until_status(held, JobStatus.COMPLETED)


def test_each_controller_takes_the_jobs_of_its_own_pool(house):
    ours, theirs = house.cluster(), house.cluster()
    with house.store.write() as unit:
        unit.pools.add(Pool(name="other", master="local[1]", created_at=0.0))
    house.controller(ours)
    house.controller(theirs, pool="other")
    here = [house.submit(Budget(trials=2)) for _ in range(3)]
    there = [house.submit(Budget(trials=2), pool="other") for _ in range(2)]
    for job in here + there:
        house.until_status(job, JobStatus.COMPLETED)
    assert sorted(ours.submitted) == sorted(t.handle for j in here for t in house.tasks(j))
    assert sorted(theirs.submitted) == sorted(t.handle for j in there for t in house.tasks(j))


def change_pool(house, **changes):
    with house.store.write() as unit:
        unit.pools.change(dataclasses.replace(unit.pools.get("default"), **changes))


def test_a_drained_pool_ends_what_runs_starts_nothing_and_says_so(house):
    backend = house.cluster()
    backend.go_on.clear()
    house.controller(backend)
    job = house.submit(Budget(trials=4))
    assert backend.claimed.acquire(timeout=PATIENCE_S)
    change_pool(house, drained=True)
    wait_for(lambda: house.controllers[0]._pool and house.controllers[0]._pool.drained)
    backend.go_on.set()
    wait_for(
        lambda: house.job(job).reason == "Waits: the pool 'default' is drained; its operator says when it goes on."
    )
    ran = len(backend.submitted)
    assert ran < 4
    change_pool(house, drained=False)
    house.until_status(job, JobStatus.COMPLETED)
    assert len(backend.submitted) == 4


def test_stated_slots_go_before_what_spark_says(house):
    backend = house.cluster(slots=8)
    change_pool(house, slots=1)
    backend.go_on.clear()
    controller = house.controller(backend)
    wait_for(lambda: controller._pool and controller._pool.slots == 1)
    job = house.submit(Budget(trials=3, parallel=3))
    assert backend.claimed.acquire(timeout=PATIENCE_S)
    backend.go_on.set()
    house.until_status(job, JobStatus.COMPLETED)
    assert backend.most_open == 1


def test_gpu_time_is_charged_at_the_price_of_the_pool(house):
    backend = house.cluster(slots=4)
    backend.capacity = lambda: Capacity(cpus=4, gpus=4, largest_cpus=4, largest_gpus=4)
    change_pool(house, price=36_000.0)
    house.controller(backend)
    job = house.submit(Budget(trials=2), resources=Resources(gpus=0.5))
    house.until_status(job, JobStatus.COMPLETED)
    ran = sum(task.ended_at - task.claimed_at for task in house.tasks(job))
    with house.store.read() as unit:
        used = unit.quotas.usage(house.alice.tenant_id).month(time.time())
    assert used.tasks == 2
    assert used.cost == pytest.approx(ran * 0.5 * 10.0)
    assert used.gpu_hours == pytest.approx(ran * 0.5 / 3600)


def test_a_controller_says_that_it_is_here_and_how_its_spark_is(house):
    class Away(clusters.Cluster):
        def start(self):
            raise TryAgain("Spark at spark://nowhere:7077 does not answer.")

    def seen():
        with house.store.read() as unit:
            return unit.pools.controllers("default")

    controller = house.controller(house.cluster(Away))
    wait_for(lambda: seen() and seen()[0].problem)
    assert not seen()[0].connected
    assert seen()[0].problem == "Spark at spark://nowhere:7077 does not answer."
    controller.stop()
    assert seen() == []
    house.controller(house.cluster(slots=3))
    wait_for(lambda: seen() and seen()[0].connected)


def test_a_spark_that_has_no_executor_yet_is_said_to_be_connected_once(house):
    backend = house.cluster(slots=0)
    with capture_logs() as logs:
        house.controller(backend)
        job = house.submit(Budget(trials=1))
        wait_for(lambda: house.job(job).reason == "Waits for executors.")
        backend.slots = 1
        house.until_status(job, JobStatus.COMPLETED)
    assert [entry["event"] for entry in logs].count("compute backend connected") == 1


def test_the_time_budget_ends_the_trials_and_the_job(house):
    backend = house.cluster()
    house.controller(backend)
    job = house.submit(Budget(trials=1000, parallel=2, minutes=0.02))
    ended = house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED)
    assert (ended.status, ended.reason) == (JobStatus.COMPLETED, "The time budget of 0.02 minutes is used.")
    assert not any(t.status in {TrialStatus.QUEUED, TrialStatus.RUNNING} for t in house.trials(job))


def test_a_controller_that_ends_leaves_its_jobs_to_the_next_at_once(house):
    backend = house.cluster(clusters.NeverStarts)
    first = house.controller(backend, lease_s=1000.0)
    job = house.submit(Budget(trials=1))
    wait_for(lambda: backend.submitted)
    first.stop()
    with house.store.read() as unit:
        assert [lease.job_id for lease in unit.control.claimable_jobs(time.time(), held=())] == [job.id]


def test_a_database_that_is_away_for_a_while_does_not_end_the_controller(house, monkeypatch):
    backend = house.cluster()
    controller = house.controller(backend)
    wait_for(controller.ready.is_set)
    read, failures = house.store.read, threading.Semaphore(5)

    def sometimes():
        if failures.acquire(blocking=False):
            raise ConnectionError("away")
        return read()

    with capture_logs() as logs, monkeypatch.context() as broken:
        broken.setattr(controller._tools.store, "read", sometimes)
        wait_for(lambda: sum("could not do its round" in entry["event"] for entry in list(logs)) >= 2)
    job = house.submit(Budget(trials=2))
    house.until_status(job, JobStatus.COMPLETED)


def test_a_cluster_without_executors_is_connected_once(house):
    cluster = clusters.Cluster(house.desk, slots=0)
    looks = threading.Semaphore(0)
    start = cluster.start
    cluster.start = lambda: (looks.release(), start())
    with capture_logs() as logs:
        controller = house.controller(cluster)
        try:
            for _ in range(5):
                assert looks.acquire(timeout=PATIENCE_S)
            with house.store.read() as unit:
                [seen] = unit.pools.controllers("default")
            assert seen.connected
        finally:
            controller.stop()
            cluster.stop()
    assert [entry["event"] for entry in logs].count("compute backend connected") == 1
