"""What the store promises to controllers and runners, on each kind of database."""

import dataclasses

import pytest

from tests.samples import a_spec, a_task, a_tenant, a_trial, stored_job
from tuning_service.domain.errors import Conflict, LeaseLost, NotFound
from tuning_service.domain.job import Budget
from tuning_service.domain.pool import Pool
from tuning_service.domain.state import JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Outcome, QueuedPoint
from tuning_service.storage.control import Losses
from tuning_service.storage.tenant_scope import TrialOrder

LOST = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, reason="gone")


def take(store, owner, now, ttl_s=10.0, held=()):
    with store.write() as unit:
        return unit.control.claim_jobs(unit.control.claimable_jobs(now, held=held), owner, now, ttl_s)


def prepared(store, alice, *, trials=1, tasks_each=1):
    """A leased, running job with queued trials, of which each has a task that is about to be launched."""
    job = stored_job(store, alice, status=JobStatus.RUNNING)
    [lease] = take(store, "me", 0.0, 1e9)
    made = [a_trial(job, n) for n in range(trials)]
    tasks = [a_task(t, n) for t in made for n in range(tasks_each)]
    with store.write() as unit:
        unit.control.add_trials(made)
        unit.control.add_tasks(tasks)
    return lease, job, made, tasks


# -- leases


def test_a_job_has_one_holder_until_the_lease_runs_out(store, alice):
    job = stored_job(store, alice)
    [first] = take(store, "one", 100.0)
    assert (first.job_id, first.tenant_id) == (job.id, "tenant_a")
    assert take(store, "two", 109.0) == []
    [second] = take(store, "two", 110.0)
    assert second.epoch == first.epoch + 1
    with store.write() as unit:
        assert not unit.control.renew(first, 111.0, 10.0)
        assert unit.control.renew(second, 111.0, 10.0)
    assert take(store, "one", 120.0) == []


def test_of_a_pool_that_is_gone_any_controller_deletes_the_jobs_and_runs_none(store, alice):
    with store.write() as unit:
        unit.pools.add(Pool(name="gone", master="yarn", created_at=0.0))
    ended = {"status": JobStatus.COMPLETED, "spec": a_spec(pool="gone")}
    deleted = stored_job(store, alice, **ended, target=JobTarget.DELETED)
    stored_job(store, alice, **ended, target=JobTarget.STOPPED)
    assert take(store, "one", 0.0) == [], "its own controllers see to that"
    with store.write() as unit:
        unit.pools.remove("gone")
    stored_job(store, alice, **ended, target=JobTarget.RUNNING)
    assert [lease.job_id for lease in take(store, "one", 0.0)] == [deleted.id]


def test_of_two_that_saw_the_same_job_one_gets_it(store, alice):
    stored_job(store, alice)
    with store.read() as unit:
        seen = unit.control.claimable_jobs(0.0, held=())
    with store.write() as unit:
        assert unit.control.claim_jobs(seen, "one", 0.0, 10.0) == seen
    with store.write() as unit:
        assert unit.control.claim_jobs(seen, "two", 0.0, 10.0) == []


def test_a_lease_that_was_renewed_meanwhile_is_not_taken(store, alice):
    stored_job(store, alice)
    [mine] = take(store, "one", 0.0)
    with store.read() as unit:
        seen = unit.control.claimable_jobs(10.0, held=())
    with store.write() as unit:
        assert unit.control.renew(mine, 10.0, 10.0)
    with store.write() as unit:
        assert unit.control.claim_jobs(seen, "two", 10.5, 10.0) == []
        unit.control.fence(mine)


def test_whoever_lost_the_lease_cannot_write(store, alice):
    job = stored_job(store, alice)
    [old] = take(store, "one", 0.0)
    [new] = take(store, "two", 10.0)

    def write_late():
        with store.write() as unit:
            unit.control.set_job(dataclasses.replace(job, reason="stale"), 11.0)
            unit.control.fence(old)

    with pytest.raises(LeaseLost):
        write_late()
    with store.write() as unit:
        unit.control.fence(new)
        assert unit.control.job(job.id).reason == ""


def test_a_lease_ends_with_its_job(store, alice):
    job = stored_job(store, alice)
    [lease] = take(store, "one", 0.0)
    with store.write() as unit:
        unit.control.delete_job(job.id)
    with store.write() as unit:
        assert unit.control.job(job.id) is None
        assert not unit.control.renew(lease, 1.0, 10.0)
        with pytest.raises(LeaseLost):
            unit.control.fence(lease)


def test_a_released_job_is_free_at_once_but_not_by_a_former_holder(store, alice):
    stored_job(store, alice)
    [first] = take(store, "one", 0.0)
    with store.write() as unit:
        unit.control.release(first)
    [second] = take(store, "two", 0.0)
    with store.write() as unit:
        unit.control.release(first)
    assert take(store, "three", 1.0) == []
    with store.write() as unit:
        unit.control.release_all()
    assert [lease.epoch for lease in take(store, "three", 1.0)] == [second.epoch + 1]


@pytest.mark.parametrize(
    ("status", "target", "due"),
    [
        (JobStatus.CREATED, JobTarget.RUNNING, True),
        (JobStatus.RUNNING, JobTarget.RUNNING, True),
        (JobStatus.STOPPING, JobTarget.STOPPED, True),
        (JobStatus.DELETING, JobTarget.DELETED, True),
        (JobStatus.STOPPED, JobTarget.STOPPED, False),
        (JobStatus.STOPPED, JobTarget.RUNNING, True),
        (JobStatus.FAILED, JobTarget.STOPPED, False),
        (JobStatus.FAILED, JobTarget.RUNNING, True),
        (JobStatus.COMPLETED, JobTarget.STOPPED, False),
        (JobStatus.COMPLETED, JobTarget.RUNNING, True),
        (JobStatus.COMPLETED, JobTarget.DELETED, True),
    ],
)
def test_jobs_with_something_to_do_are_claimed_and_others_rest(store, alice, status, target, due):
    job = stored_job(store, alice, status=status, target=target)
    assert [lease.job_id for lease in take(store, "one", 0.0)] == [job.id] * due


def test_held_jobs_are_not_claimed_again(store, alice):
    jobs = [stored_job(store, alice) for _ in range(3)]
    assert [lease.job_id for lease in take(store, "one", 0.0, held=[jobs[1].id])] == [jobs[0].id, jobs[2].id]


# -- the job's own rows


def test_storing_where_a_job_is_leaves_the_target_to_the_tenant(store, alice):
    job = stored_job(store, alice)
    moved = dataclasses.replace(
        job, status=JobStatus.STOPPED, reason="r", started_at=2.0, ended_at=3.0, used_s=1.0, forgiven=4
    )
    with store.write() as unit:
        unit.for_tenant(alice).set_target(job, JobTarget.DELETED, 1.0)
        unit.control.set_job(moved, 3.0)
        assert unit.control.job(job.id) == dataclasses.replace(moved, target=JobTarget.DELETED)
        assert unit.control.tenant("tenant_a") == alice.tenant


def test_giving_up_does_not_undo_what_the_tenant_asked_for(store, alice):
    wanted, deleted = stored_job(store, alice), stored_job(store, alice, target=JobTarget.DELETED)
    with store.write() as unit:
        for job in (wanted, deleted):
            unit.control.set_job(dataclasses.replace(job, status=JobStatus.FAILED), 3.0)
        assert unit.control.targets([wanted.id, deleted.id]) == {
            wanted.id: JobTarget.STOPPED,
            deleted.id: JobTarget.DELETED,
        }


def test_open_work_is_what_is_not_finished(store, alice):
    _, job, trials, tasks = prepared(store, alice, trials=3)
    with store.write() as unit:
        unit.control.end_task(tasks[0], LOST, 5.0)  # with its conclusion
        unit.control.set_trial(dataclasses.replace(trials[0], status=TrialStatus.FAILED), 5.0, settled=0)
        unit.runner.claim(dataclasses.replace(tasks[1], attempt=0), "n", 5.0)
        unit.runner.end(unit.runner.task(tasks[1].id), Outcome(status=TaskStatus.SUCCEEDED), 6.0)  # without
        unit.control.add_trials([a_trial(job, 3), a_trial(job, 4, status=TrialStatus.STOPPED)])
    with store.read() as unit:
        work = unit.control.open_work(job.id)
        assert [t.number for t in work.trials] == [1, 2, 3]
        assert {t.id for t in work.tasks} == {tasks[1].id, tasks[2].id}
        assert work.open_counts == {TrialStatus.RUNNING: 2, TrialStatus.QUEUED: 1, TrialStatus.STOPPED: 1}
        assert unit.control.with_unsettled_tasks() == {job.id}
    with store.write() as unit:
        unit.control.settle(tasks[1])
        assert unit.control.with_unsettled_tasks() == set()
        assert {t.id for t in unit.control.open_work(job.id).tasks} == {tasks[2].id}


def test_the_history_is_in_the_order_in_which_ends_were_taken_in(store, alice):
    _, job, trials, _ = prepared(store, alice, trials=3)
    with store.write() as unit:
        for place, number in enumerate([2, 0]):
            done = dataclasses.replace(trials[number], status=TrialStatus.COMPLETED, value=1.0)
            unit.control.set_trial(done, 9.0 - place, settled=place)
    with store.read() as unit:
        assert [t.number for t in unit.control.settled_trials(job.id)] == [2, 0]


def test_stopped_trials_are_queued_again_and_no_others(store, alice):
    _, job, trials, _ = prepared(store, alice, trials=3)
    ends = [TrialStatus.STOPPED, TrialStatus.COMPLETED, TrialStatus.FAILED]
    with store.write() as unit:
        for trial, status in zip(trials, ends, strict=True):
            unit.control.set_trial(dataclasses.replace(trial, status=status, reason="r", ended_at=5.0), 5.0)
        unit.control.requeue_stopped(job.id)
        after = [unit.for_tenant(alice).trial(job.id, n) for n in range(3)]
    assert [t.status for t in after] == [TrialStatus.QUEUED, TrialStatus.COMPLETED, TrialStatus.FAILED]
    assert (after[0].reason, after[0].ended_at) == ("", None)


# -- tasks


def test_a_stored_task_makes_its_trial_running_and_a_withdrawn_one_was_never_there(store, alice):
    _, job, [trial], [task] = prepared(store, alice)
    with store.write() as unit:
        running = unit.for_tenant(alice).trial(job.id, 0)
        assert (running.status, running.tasks) == (TrialStatus.RUNNING, 1)
        unit.control.withdraw([task])
        unit.control.withdraw([task])
        queued = unit.for_tenant(alice).trial(job.id, 0)
        assert (queued.status, queued.tasks) == (TrialStatus.QUEUED, 0)
        assert unit.for_tenant(alice).tasks(trial.id) == []


def test_a_task_that_a_runner_has_is_neither_withdrawn_nor_set_back(store, alice):
    _, job, [trial], [task] = prepared(store, alice)
    with store.write() as unit:
        unit.runner.claim(dataclasses.replace(task, attempt=0, host="h", gpus=("0", "1")), "nonce", 5.0)
        unit.control.withdraw([task])
        unit.control.mark_submitted([task.id])
        [read] = unit.for_tenant(alice).tasks(trial.id)
        assert (read.status, read.host, read.gpus, read.claimed_at) == (TaskStatus.CLAIMED, "h", ("0", "1"), 5.0)
        assert unit.for_tenant(alice).trial(job.id, 0).started_at == 5.0


def test_a_claim_later_on_leaves_the_trials_start_as_it_was(store, alice):
    _, job, _, [first, second] = prepared(store, alice, tasks_each=2)
    with store.write() as unit:
        unit.runner.claim(dataclasses.replace(first, attempt=0), "n", 5.0)
        unit.runner.claim(dataclasses.replace(second, attempt=0), "n", 9.0)
        assert unit.for_tenant(alice).trial(job.id, 0).started_at == 5.0


def test_submitted_tasks_are_marked_and_a_stop_is_remembered(store, alice):
    _, _, [trial], [task] = prepared(store, alice)
    with store.write() as unit:
        unit.control.mark_submitted([task.id])
        unit.control.request_stop([task.id])
        [read] = unit.for_tenant(alice).tasks(trial.id)
        assert (read.status, read.stop_requested) == (TaskStatus.SUBMITTED, True)


def test_the_runners_own_report_goes_before_the_controllers_conclusion(store, alice):
    _, _, [trial], [task] = prepared(store, alice)
    with store.write() as unit:
        claimed = dataclasses.replace(task, attempt=0)
        unit.runner.claim(claimed, "n", 1.0)
        unit.runner.end(unit.runner.task(task.id), Outcome(status=TaskStatus.SUCCEEDED), 2.0)
        assert not unit.control.end_task(dataclasses.replace(claimed, status=TaskStatus.CLAIMED), LOST, 3.0)
        assert unit.for_tenant(alice).tasks(trial.id)[0].status is TaskStatus.SUCCEEDED


def test_the_table_of_moves_is_kept(store, alice):
    _, _, _, [task] = prepared(store, alice)
    with store.write() as unit, pytest.raises(Conflict):
        unit.runner.end(task, Outcome(status=TaskStatus.SUCCEEDED), 2.0)  # never claimed


def test_a_higher_attempt_takes_over_in_a_task_of_its_own(store, alice):
    _, job, [trial], [task] = prepared(store, alice)
    claimed = dataclasses.replace(task, attempt=0, status=TaskStatus.CLAIMED)
    successor = a_task(trial, 1, handle=task.handle, status=TaskStatus.SUBMITTED)
    with store.write() as unit:
        unit.runner.claim(dataclasses.replace(task, attempt=0), "n0", 1.0)
        unit.runner.take_over(claimed, successor, LOST, 2.0)
        unit.runner.claim(dataclasses.replace(successor, attempt=1), "n1", 2.0)
    with store.read() as unit:
        tasks = unit.for_tenant(alice).tasks(trial.id)
        assert [(t.number, t.status) for t in tasks] == [(0, TaskStatus.LOST), (1, TaskStatus.CLAIMED)]
        assert unit.for_tenant(alice).trial(job.id, 0).tasks == 2
        assert unit.runner.latest_for_handle(task.handle) == successor.id
        assert unit.runner.latest_for_handle("task_none") is None
        assert unit.control.losses([trial.id, "trial_none"]) == {trial.id: Losses(by_cluster=1, all=1, last=2.0)}
        assert unit.control.with_unsettled_tasks() == set()


@pytest.mark.parametrize(("failure", "losses"), [("", Losses(by_cluster=0, all=1, last=2.0)), ("cordoned", None)])
def test_what_the_service_lost_does_not_count_as_lost_by_the_cluster(store, alice, failure, losses):
    _, _, [trial], [task] = prepared(store, alice)
    with store.write() as unit:
        unit.control.end_task(task, dataclasses.replace(LOST, fault=FaultKind.SERVICE, failure=failure), 2.0)
        assert unit.control.losses([trial.id]).get(trial.id) == losses


def test_a_runner_finds_what_its_task_belongs_to(store, alice):
    _, job, [trial], [task] = prepared(store, alice)
    with store.write() as unit:
        unit.runner.claim(dataclasses.replace(task, attempt=3), "nonce-1", 1.0)
        context = unit.runner.context(task.id)
        assert (context.job.id, context.trial.id, context.nonce) == (job.id, trial.id, "nonce-1")
        assert context.task == unit.runner.task(task.id, lock=True)
        assert context.task.attempt == 3
        assert unit.runner.context("task_none") is None
        assert unit.runner.task("task_none") is None


# -- queued points


def queued(*values, first=1):
    return [
        QueuedPoint(position=first + i, params={"lr": v}, source=f"point {first + i}") for i, v in enumerate(values)
    ]


def test_points_wait_in_their_order_until_they_are_taken(store, alice):
    job = stored_job(store, alice)
    other = stored_job(store, alice)
    points = queued(0.1, 0.2, 0.3)
    with store.write() as unit:
        unit.for_tenant(alice).add_points(job.id, points)
        unit.for_tenant(alice).add_points(other.id, queued(0.9))
        assert unit.control.job(job.id).queued_points == 3
        assert unit.control.queued_points(job.id, 2) == points[:2]
        unit.control.take_points(job.id, {1: 7, 2: 8})
        assert unit.control.queued_points(job.id, 9) == points[2:]
        assert unit.control.job(job.id).queued_points == 1
        assert unit.control.job(other.id).queued_points == 1
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        assert [(p.position, p.trial) for p in scope.points(job.id)] == [(1, 7), (2, 8), (3, None)]
        assert [p.position for p in scope.points(job.id, after=1, limit=1)] == [2]
        assert (scope.last_position(job.id), scope.last_position("job_none")) == (3, 0)


def test_points_belong_to_their_tenant_and_go_with_their_job(store, alice):
    bob = a_tenant(store, "b")
    job = stored_job(store, alice)
    with store.write() as unit:
        unit.for_tenant(alice).add_points(job.id, queued(0.1))
        assert unit.for_tenant(bob).points(job.id) == []
        assert unit.for_tenant(bob).last_position(job.id) == 0
        with pytest.raises(NotFound):
            unit.for_tenant(bob).add_points(job.id, queued(0.2, first=2))
    with store.write() as unit:
        unit.control.delete_job(job.id)
        assert unit.control.queued_points(job.id, 9) == []


def test_the_fence_tells_when_points_or_another_budget_came_in_between(store, alice):
    job = stored_job(store, alice)
    [lease] = take(store, "me", 0.0)
    with store.write() as unit:
        scope = unit.for_tenant(alice)
        assert unit.control.fence(lease, seen=job)
        scope.add_points(job.id, queued(0.1))
        assert not unit.control.fence(lease, seen=job)
        with_points = scope.job(job.id)
        assert unit.control.fence(lease, seen=with_points)
        scope.change_job(job, a_spec(name="longer", budget=Budget(trials=9)), {"budget": {"trials": 9}}, 2.0)
        assert not unit.control.fence(lease, seen=with_points)
        changed = scope.job(job.id)
        assert unit.control.fence(lease, seen=changed)
        assert unit.control.fence(lease)
    take(store, "another", 10.0)
    with store.write() as unit, pytest.raises(LeaseLost):
        unit.control.fence(lease, seen=changed)


def test_another_budget_outlives_what_a_controller_stores_of_the_job(store, alice):
    job = stored_job(store, alice)
    with store.write() as unit:
        scope = unit.for_tenant(alice)
        scope.change_job(job, a_spec(name="longer", budget=Budget(trials=9)), {"name": "longer"}, 2.0)
        unit.control.set_job(dataclasses.replace(job, reason="waits"), 3.0)
        after = scope.job(job.id)
        told = scope.events(job.id, after=0, limit=9)
    assert (after.spec.name, after.spec.budget.trials, after.edits, after.reason) == ("longer", 9, 1, "waits")
    assert {"name": "longer"} in [event.data.get("changed") for event in told]


def test_a_job_that_has_completed_rests_until_it_is_resumed(store, alice):
    job = stored_job(store, alice)
    with store.write() as unit:
        unit.control.set_job(dataclasses.replace(job, status=JobStatus.COMPLETED), 1.0)
        assert unit.control.job(job.id).target is JobTarget.STOPPED


def test_a_trial_that_was_stopped_by_itself_is_not_run_again(store, alice, bob):
    job = stored_job(store, alice)
    open_, ended, shelved = (a_trial(job, n, status=s) for n, s in enumerate(_STOPPING))
    with store.write() as unit:
        unit.control.add_trials([open_, ended, shelved])
        assert not unit.for_tenant(bob).request_trial_stop(open_, 1.0)
        assert unit.for_tenant(alice).request_trial_stop(open_, 1.0)
        assert not unit.for_tenant(alice).request_trial_stop(ended, 1.0)
        asked = unit.for_tenant(alice).trial(job.id, 0)
        assert asked.stop_requested
        # A controller that has not seen the wish does not undo it.
        unit.control.set_trial(dataclasses.replace(open_, status=TrialStatus.RUNNING), 2.0)
        assert unit.for_tenant(alice).trial(job.id, 0).stop_requested
        unit.control.set_trial(dataclasses.replace(asked, status=TrialStatus.STOPPED), 3.0, settled=0)
        unit.control.requeue_stopped(job.id)
        after = [t.status for t, _ in unit.for_tenant(alice).trials(job.id, order=TrialOrder(), after=None, limit=9)]
        assert unit.for_tenant(alice).stopped_for_good(job.id) == 1
    assert after == [TrialStatus.STOPPED, TrialStatus.COMPLETED, TrialStatus.QUEUED]


_STOPPING = (TrialStatus.QUEUED, TrialStatus.COMPLETED, TrialStatus.STOPPED)


def test_storing_where_a_job_is_leaves_its_queue_alone(store, alice):
    job = stored_job(store, alice)
    with store.write() as unit:
        unit.for_tenant(alice).add_points(job.id, queued(0.1))
        unit.control.set_job(dataclasses.replace(job, reason="waits"), 1.0)
        assert unit.control.job(job.id).queued_points == 1
