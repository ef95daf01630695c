"""Many at once: threads of one process, and several processes, on each kind of database."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import text

from tests.samples import a_task, a_tenant, a_trial, stored_job
from tests.waiting import PATIENCE_S, wait_for
from tuning_service.domain.artifact import Artifact
from tuning_service.domain.errors import Conflict
from tuning_service.domain.job import Goal
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import JobStatus, JobTarget, Role, TrialStatus
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.artifact_desk import ArtifactDesk
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.manager.task_desk import TaskDesk
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.runner.protocol import Claim
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.engine import check_schema, upgrade_schema
from tuning_service.storage.store import Store
from tuning_service.storage.tenant_scope import Program

THREADS, ROUNDS = 6, 15


def add_trials(store, job, principal, writer, together):
    """Reads and writes in one transaction, as requests do: what a database may refuse when others write."""
    together.wait(60)
    for i in range(ROUNDS):
        with store.write() as unit:
            before = unit.for_tenant(principal).trial_counts([job.id])[job.id]
            trial = a_trial(job, writer * ROUNDS + i, id=f"trial_{writer}_{i}", source=f"saw {sum(before.values())}")
            unit.control.add_trials([trial])
        with store.read() as unit:
            assert unit.for_tenant(principal).trial(job.id, trial.number) == trial


def count(store, principal, job):
    with store.read() as unit:
        return unit.for_tenant(principal).trial_counts([job.id])[job.id]


def test_threads_write_at_once_and_nothing_is_lost_or_refused(store):
    alice = a_tenant(store, "a")
    job = stored_job(store, alice)
    together = threading.Barrier(THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(add_trials, store, job, alice, w, together) for w in range(THREADS)]:
            done.result(120)
    assert count(store, alice, job) == {TrialStatus.QUEUED: THREADS * ROUNDS}


def in_process(url, job, principal, writer, together):
    store = Store.open(url)
    try:
        add_trials(store, job, principal, writer, together)
    finally:
        store.close()


def run_processes(target, arguments):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=each(context)) for each in arguments]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(120)
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()


def test_processes_write_at_once_and_nothing_is_lost_or_refused(store, store_url):
    alice = a_tenant(store, "a")
    job = stored_job(store, alice)
    together = multiprocessing.get_context("spawn").Barrier(2)
    codes = run_processes(in_process, [lambda _, w=w: (store_url, job, alice, w, together) for w in range(2)])
    assert codes == [0, 0]
    assert count(store, alice, job) == {TrialStatus.QUEUED: 2 * ROUNDS}


def upgrade_in_process(url, together):
    store = Store.open(url)
    together.wait(60)
    upgrade_schema(store.engine)
    store.close()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_two_that_upgrade_at_once_both_succeed(database_url):
    together = multiprocessing.get_context("spawn").Barrier(2)
    assert run_processes(upgrade_in_process, [lambda _: (database_url, together)] * 2) == [0, 0]
    store = Store.open(database_url)
    assert check_schema(store.engine)
    store.close()


def test_readers_are_served_while_somebody_writes(store):
    alice = a_tenant(store, "a")
    job = stored_job(store, alice)
    with store.write() as writing:
        writing.control.add_trials([a_trial(job, value=1.0, status=TrialStatus.COMPLETED)])
        with store.read() as unit:  # does not wait, and does not see what is not committed
            assert unit.for_tenant(alice).best_trials(job.id, Goal.MAXIMIZE, 1) == []
    with store.read() as unit:
        assert len(unit.for_tenant(alice).best_trials(job.id, Goal.MAXIMIZE, 1)) == 1


def at_once(function, times=THREADS):
    together = threading.Barrier(times)

    def one(number):
        together.wait(60)
        return function(number)

    with ThreadPoolExecutor(times) as pool:
        return [f.result(120) for f in [pool.submit(one, n) for n in range(times)]]


def test_of_operators_that_change_one_pool_or_tenant_at_once_none_undoes_what_another_did(store):
    a_tenant(store, "a")
    operator = Principal(key_id="key_o", role=Role.OPERATOR, tenant=None)
    pools, access = PoolMgr(store), AccessMgr(store)
    pools.create(operator, "h100", master="yarn")
    changes = (
        lambda value: pools.change(operator, "h100", price=value),
        lambda value: pools.change(operator, "h100", slots=value),
        lambda value: access.change_tenant(operator, "a", max_jobs=value),
        lambda value: access.change_tenant(operator, "a", max_gpus=value),
    )
    for value in range(1, 11):
        at_once(partial(lambda value, number: changes[number](value), value), times=len(changes))
        pool, (tenant, _) = pools.pool(operator, "h100").pool, access.tenant(operator, "a")
        assert (pool.price, pool.slots, tenant.max_jobs, tenant.max_gpus) == (value,) * 4


def test_of_requests_at_once_with_one_key_the_first_alone_is_new(store):
    def reserve(_):
        with store.write() as unit:
            return unit.idempotency.reserve("t", "k", "h", 1.0)

    answers = at_once(reserve)
    assert answers.count(None) == 1
    assert {a.status for a in answers if a} == {0}


def test_a_request_whose_key_is_dropped_by_another_at_that_moment_is_told_the_one_or_the_other(store):
    def reserve_and_drop(_):
        new = 0
        for _ in range(ROUNDS):
            with store.write() as unit:
                first = unit.idempotency.reserve("t", "k", "h", 1.0) is None
            if first:
                new += 1
                with store.write() as unit:
                    unit.idempotency.drop("t", "k")
        return new

    assert sum(at_once(reserve_and_drop)) > 0


def test_a_job_that_is_deleted_and_stopped_at_once_is_deleted(store):
    alice = a_tenant(store, "a")
    tuning = ModelTuningMgr(store, ArtifactStore("memory://none"), notify=lambda _: None)
    for _ in range(ROUNDS):
        job = stored_job(store, alice, status=JobStatus.RUNNING)

        def request(number, job=job):
            with suppress(Conflict):  # to stop what is being deleted
                (tuning.delete, tuning.stop)[number](alice, job.id)

        at_once(request, times=2)
        with store.read() as unit:
            assert unit.control.targets([job.id]) == {job.id: JobTarget.DELETED}


def test_whoever_draws_on_a_quota_locks_it_last_and_keeps_nobody_from_storing(postgres_store):
    """A controller that has a task's row, and then wants the quota, while that task's runner sends a file."""
    store = postgres_store
    alice = a_tenant(store, "a")
    trial = a_trial(stored_job(store, alice))
    task, artifact = a_task(trial), Artifact(path="model.pt", bytes=1, sha256="", created_at=1.0)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
    desk = ArtifactDesk(store, ArtifactStore("memory://none"))
    another = Program(digest="e" * 64, bytes=1, files=(), created_at=1.0)

    def waits():
        with store.read() as unit:
            found = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return unit._connection.execute(found).scalar()

    def upload():
        with store.write() as unit:
            unit.for_tenant(alice).add_program(another)

    with ThreadPoolExecutor(2) as pool:
        with store.write() as unit:
            unit.runner.task(task.id, lock=True)
            kept = pool.submit(desk.admit, task, artifact, store=True)
            wait_for(waits)
            unit.quotas.lock(alice.tenant_id)
            pool.submit(upload).result(PATIENCE_S)
        kept.result(PATIENCE_S)


def test_a_claim_that_is_sent_again_before_it_is_answered_gets_the_same_plan(store):
    desk = TaskDesk(store, ArtifactStore("memory://none"), notify=lambda _: None)
    job = stored_job(store, a_tenant(store, "a"), status=JobStatus.RUNNING)
    for number in range(ROUNDS):
        trial = a_trial(job, number)
        task = a_task(trial)
        with store.write() as unit:
            unit.control.add_trials([trial])
            unit.control.add_tasks([task])
        token = TaskTokens(store).of(task.id)
        first = desk.claim(task.id, token, Claim(attempt=0, nonce="one", host="a"))
        takes_over = Claim(attempt=1, nonce="two", host="b")
        plans = at_once(lambda _, claim=takes_over, of=(task.id, token): desk.claim(*of, claim), times=3)
        assert len({plan.task_id for plan in plans} - {first.task_id}) == 1


def test_a_secret_that_many_ask_for_first_is_one_secret(store):
    def secret(_):
        with store.write() as unit:
            return unit.tenancy.secret("s")

    assert len(set(at_once(secret))) == 1


def test_a_program_that_many_upload_at_once_is_stored_once(store):
    alice = a_tenant(store, "a")

    def upload(_):
        with store.write() as unit:
            unit.for_tenant(alice).add_program(Program(digest="e" * 64, bytes=1, files=(), created_at=1.0))

    at_once(upload)
    with store.read() as unit:
        assert [p.digest[0] for p in unit.for_tenant(alice).programs(after="", limit=9)] == ["d", "e"]


def test_of_controllers_that_claim_at_once_each_job_goes_to_one(store):
    alice = a_tenant(store, "a")
    jobs = {stored_job(store, alice).id for _ in range(10)}

    def claim(number):
        with store.read() as unit:
            due = unit.control.claimable_jobs(0.0, held=())
        with store.write() as unit:
            return [lease.job_id for lease in unit.control.claim_jobs(due, f"c{number}", 0.0, 10.0)]

    taken = [job_id for mine in at_once(claim) for job_id in mine]
    assert sorted(taken) == sorted(jobs)
