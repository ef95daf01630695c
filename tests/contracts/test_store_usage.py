"""What tenants have used, on each kind of database."""

import dataclasses
from datetime import UTC, datetime

import pytest

from tests.samples import a_task, a_tenant, a_trial, stored_job
from tuning_service.domain.state import TaskStatus
from tuning_service.domain.trial import Outcome
from tuning_service.storage.usage import month_of

NOON = datetime(2031, 3, 10, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
SUCCEEDED = Outcome(status=TaskStatus.SUCCEEDED)


@pytest.fixture
def alice(store):
    return a_tenant(store, "a")


@pytest.fixture
def job(store, alice):
    return stored_job(store, alice)


def claimed(store, alice, job, number=0, *, at=NOON, cpus=2, gpu_share=0.5):
    """A task that a runner has had since `at`."""
    trial = a_trial(job, number)
    task = a_task(trial, cpus=cpus, gpu_share=gpu_share)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
        unit.runner.claim(task, "nonce", at)
        return unit.runner.task(task.id)


def end(store, task, at, outcome=SUCCEEDED):
    with store.write() as unit:
        unit.runner.end(task, outcome, at)


def usage(store, alice, now):
    with store.read() as unit:
        return unit.for_tenant(alice).usage.all(now)


def test_an_execution_counts_while_it_runs_and_the_same_when_it_has_ended(store, alice, job):
    task = claimed(store, alice, job)
    running = usage(store, alice, NOON + 2 * HOUR)
    assert (running.parallel, running.gpus, running.tasks) == (1, 0.5, 0)
    assert (running.gpu_hours, running.cpu_hours) == pytest.approx((1.0, 4.0))
    end(store, task, NOON + 2 * HOUR)
    ended = usage(store, alice, NOON + 9 * HOUR)
    assert (ended.parallel, ended.gpus, ended.tasks) == (0, 0.0, 1)
    assert (ended.gpu_hours, ended.cpu_hours) == pytest.approx((1.0, 4.0))


def test_an_end_that_is_told_twice_counts_once(store, alice, job):
    task = claimed(store, alice, job)
    end(store, task, NOON + HOUR)
    end(store, task, NOON + 5 * HOUR)
    with store.write() as unit:
        assert not unit.control.end_task(task, Outcome(status=TaskStatus.LOST), NOON + 6 * HOUR)
    assert usage(store, alice, NOON + 7 * HOUR).gpu_hours == pytest.approx(0.5)


def test_an_end_by_the_controller_counts_too(store, alice, job):
    task = claimed(store, alice, job)
    with store.write() as unit:
        assert unit.control.end_task(task, Outcome(status=TaskStatus.LOST), NOON + HOUR)
    assert usage(store, alice, NOON + HOUR).gpu_hours == pytest.approx(0.5)


def test_a_task_that_no_runner_had_has_used_nothing(store, alice, job):
    trial = a_trial(job)
    task = a_task(trial, gpu_share=1.0)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
        assert unit.control.end_task(task, Outcome(status=TaskStatus.LOST), NOON)
    after = usage(store, alice, NOON)
    assert (after.tasks, after.gpu_hours) == (0, 0.0)


def test_a_month_has_its_own_part_of_what_runs_over_its_end(store, alice, job):
    new_year = datetime(2032, 1, 1, tzinfo=UTC).timestamp()
    task = claimed(store, alice, job, at=new_year - 3 * HOUR, gpu_share=1.0)
    assert usage(store, alice, new_year + HOUR).gpu_hours == pytest.approx(1.0)
    end(store, task, new_year + 2 * HOUR)
    december, january = usage(store, alice, new_year - 1), usage(store, alice, new_year + 9 * HOUR)
    assert (december.gpu_hours, january.gpu_hours) == pytest.approx((3.0, 2.0))
    assert (december.tasks, january.tasks) == (0, 1)


def test_executions_that_end_in_one_month_add_up(store, alice, job):
    for number in range(3):
        end(store, claimed(store, alice, job, number, gpu_share=1.0), NOON + HOUR)
    after = usage(store, alice, NOON + HOUR)
    assert after.tasks == 3
    assert after.gpu_hours == pytest.approx(3.0)


def test_a_deleted_job_leaves_what_it_has_used(store, alice, job):
    end(store, claimed(store, alice, job, gpu_share=1.0), NOON + HOUR)
    with store.write() as unit:
        unit.control.delete_job(job.id)
    assert usage(store, alice, NOON + HOUR).gpu_hours == pytest.approx(1.0)


def test_a_clock_that_went_back_takes_nothing_away(store, alice, job):
    end(store, claimed(store, alice, job), NOON - HOUR)
    assert usage(store, alice, NOON).gpu_hours == 0.0


def test_another_tenants_use_is_not_counted(store, alice, job):
    bob = a_tenant(store, "b")
    end(store, claimed(store, alice, job), NOON + HOUR)
    assert usage(store, bob, NOON + HOUR).tasks == 0


def test_jobs_and_bytes_are_counted(store, alice, job):
    task = claimed(store, alice, job)
    with store.write() as unit:
        unit.runner.report(task, (), 500, NOON)
    now = usage(store, alice, NOON)
    assert now.jobs == 1
    assert now.storage_bytes == 510  # a program of ten


def test_quotas_are_stored_as_they_were_set(store, alice):
    changed = dataclasses.replace(alice.tenant, weight=2.5, max_gpus=0.5, max_storage_bytes=2**40)
    with store.write() as unit:
        unit.tenancy.set_quotas(changed)
    with store.read() as unit:
        assert unit.tenancy.tenant(alice.tenant.id) == changed


def test_months_are_those_of_utc():
    assert month_of(datetime(2031, 12, 31, 23, 59, tzinfo=UTC).timestamp()) == "2031-12"
    assert month_of(datetime(2032, 1, 1, tzinfo=UTC).timestamp()) == "2032-01"
