"""The decision: one case at a time."""

import dataclasses

import pytest

from tests.samples import a_job, a_spec, a_task, a_trial
from tuning_service.compute.base import HandleStatus
from tuning_service.control.decide import MOST_ASKED, MOST_INFEASIBLE, UNBEGUN_S, decide, wanted
from tuning_service.control.ends import STOP_GRACE_S
from tuning_service.control.job_state import JobState, Result
from tuning_service.domain.job import Budget, Goal, MetricConstraint, Objective
from tuning_service.domain.state import JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import MOST_LOST, Failure, FaultKind, Outcome, Suggestion

NOW = 1000.0


def a_state(
    status=JobStatus.RUNNING, target=JobTarget.RUNNING, *, budget=None, trials=(), tasks=(), job=None, **changes
):
    job = dataclasses.replace(
        job or a_job(spec=a_spec(budget=budget), running_since=NOW - 60, started_at=NOW - 60),
        status=status,
        target=target,
    )
    counts = changes.pop("counts", {})
    for trial in trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    base = {"now": NOW, "results": {}, "handles": {}, "slots": 99}
    return JobState(job=job, counts=counts, trials=trials, tasks=tasks, **{**base, **changes})


def one_task(task_status=TaskStatus.CLAIMED, **changes):
    """The parts of a state with one running trial and its task."""
    trial = a_trial(a_job(), status=TrialStatus.RUNNING, tasks=1)
    task = a_task(trial, status=task_status, **{"heartbeat_at": NOW, **changes})
    return trial, task


def suggestions(count):
    return tuple(Suggestion(params={"lr": 0.01 * (i + 1)}) for i in range(count))


@pytest.mark.parametrize(
    ("status", "target", "after"),
    [
        (JobStatus.CREATED, JobTarget.RUNNING, JobStatus.RUNNING),
        (JobStatus.CREATED, JobTarget.STOPPED, JobStatus.STOPPED),
        (JobStatus.CREATED, JobTarget.DELETED, JobStatus.DELETING),
        (JobStatus.RUNNING, JobTarget.STOPPED, JobStatus.STOPPING),
        (JobStatus.RUNNING, JobTarget.DELETED, JobStatus.DELETING),
        (JobStatus.STOPPING, JobTarget.STOPPED, JobStatus.STOPPED),
        (JobStatus.STOPPING, JobTarget.RUNNING, JobStatus.STOPPED),
        (JobStatus.STOPPING, JobTarget.DELETED, JobStatus.DELETING),
        (JobStatus.STOPPED, JobTarget.RUNNING, JobStatus.RUNNING),
        (JobStatus.STOPPED, JobTarget.DELETED, JobStatus.DELETING),
        (JobStatus.FAILED, JobTarget.RUNNING, JobStatus.RUNNING),
        (JobStatus.FAILED, JobTarget.DELETED, JobStatus.DELETING),
        (JobStatus.COMPLETED, JobTarget.DELETED, JobStatus.DELETING),
        (JobStatus.RUNNING, JobTarget.RUNNING, None),
        (JobStatus.STOPPED, JobTarget.STOPPED, None),
        (JobStatus.FAILED, JobTarget.STOPPED, None),
        (JobStatus.COMPLETED, JobTarget.RUNNING, JobStatus.RUNNING),
        (JobStatus.COMPLETED, JobTarget.STOPPED, None),
        (JobStatus.DELETING, JobTarget.DELETED, None),
    ],
)
def test_without_tasks_the_status_moves_towards_the_target(status, target, after):
    actions = decide(a_state(status, target))
    assert (actions.job.status if actions.job else None) == after
    assert actions.delete == (status is JobStatus.DELETING)


def test_a_running_job_asks_for_as_much_as_it_may_launch():
    budget = Budget(trials=10, parallel=4)
    assert decide(a_state(budget=budget)).ask == 4
    assert decide(a_state(budget=budget, slots=3)).ask == 3
    assert decide(a_state(budget=budget, slots=0)).ask == 0
    many = Budget(trials=5000, parallel=1000)
    assert decide(a_state(budget=many, slots=1000)).ask == MOST_ASKED
    actions = decide(a_state(budget=many, slots=1000, ready=suggestions(MOST_ASKED)))
    assert (len(actions.launch), actions.ask) == (MOST_ASKED, MOST_ASKED)
    assert decide(a_state(budget=budget, counts={TrialStatus.COMPLETED: 9})).ask == 1
    assert decide(a_state(budget=budget, ready=suggestions(1))).ask == 3
    assert decide(a_state(budget=budget, exhausted=True, counts={TrialStatus.COMPLETED: 1})).ask == 0


def test_while_a_question_is_open_no_other_is_asked():
    assert decide(a_state(budget=Budget(trials=10, parallel=4), asked=1)).ask == 0


def test_what_was_suggested_is_stored_and_launched_with_the_next_numbers():
    actions = decide(
        a_state(
            budget=Budget(trials=6, parallel=4),
            ready=suggestions(3),
            counts={TrialStatus.COMPLETED: 3, TrialStatus.STOPPED: 1},
        )
    )
    assert [t.number for t in actions.store] == [4, 5]
    assert [t.params for t in actions.store] == [s.params for s in suggestions(2)]
    assert [(t.trial_id, t.status, t.handle) for t in actions.launch] == [
        (trial.id, TaskStatus.CREATED, task.id) for trial, task in zip(actions.store, actions.launch, strict=True)
    ]


def test_queued_trials_go_before_new_ones():
    waiting = a_trial(a_job(), 0, tasks=2)
    actions = decide(a_state(trials=[waiting], ready=suggestions(2), slots=1))
    assert not actions.store
    assert [(t.trial_id, t.number) for t in actions.launch] == [(waiting.id, 2)]


@pytest.mark.parametrize(
    ("outcome", "value", "status", "final"),
    [
        (Outcome(status=TaskStatus.SUCCEEDED), 0.5, TrialStatus.COMPLETED, True),
        (Outcome(status=TaskStatus.SUCCEEDED), None, TrialStatus.FAILED, True),
        (Outcome(status=TaskStatus.FAILED, fault=FaultKind.PROGRAM, reason="exit 1"), 0.5, TrialStatus.FAILED, True),
        (Outcome(status=TaskStatus.STOPPED, reason="stopped"), 0.5, TrialStatus.STOPPED, False),
        (Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, reason="gone"), 0.5, TrialStatus.QUEUED, False),
    ],
)
def test_the_end_of_a_task_decides_where_its_trial_goes(outcome, value, status, final):
    trial, task = one_task(outcome.status, outcome=outcome, ended_at=NOW)
    results = {task.id: Result(values={} if value is None else {"accuracy": value}, metrics={"m": 1.0})}
    [conclusion] = decide(a_state(trials=[trial], tasks=[task], results=results, slots=0)).conclusions
    assert (conclusion.trial.status, conclusion.final, conclusion.outcome) == (status, final, None)
    assert (conclusion.trial.value is None) == (status in {TrialStatus.FAILED, TrialStatus.QUEUED})


TWO_AND_A_LIMIT = a_spec(
    objectives=(Objective(metric="accuracy", goal=Goal.MAXIMIZE), Objective(metric="bytes", goal=Goal.MINIMIZE)),
    metric_constraints=(MetricConstraint(metric="latency_ms", upper=True, limit=20.0),),
)


def test_a_completed_trial_keeps_what_its_runner_had_to_tell():
    told = "Artifacts that were not kept:\n'big.pt': 300 MiB; the limit of a trial is 256 MiB"
    outcome = Outcome(status=TaskStatus.SUCCEEDED, explanation=told)
    trial, task = one_task(TaskStatus.SUCCEEDED, outcome=outcome, ended_at=NOW)
    result = Result(values={"accuracy": 0.5}, metrics={})
    [conclusion] = decide(a_state(trials=[trial], tasks=[task], results={task.id: result})).conclusions
    assert (conclusion.trial.status, conclusion.trial.explanation) == (TrialStatus.COMPLETED, told)


@pytest.mark.parametrize(
    ("latency", "violation", "feasible"), [(19.0, 0.0, True), (20.0, 0.0, True), (25.0, 0.25, False)]
)
def test_a_trial_beyond_a_metric_constraint_completes_and_is_marked(latency, violation, feasible):
    job = a_job(spec=TWO_AND_A_LIMIT, running_since=NOW - 60)
    trial, task = one_task(TaskStatus.SUCCEEDED, outcome=Outcome(status=TaskStatus.SUCCEEDED), ended_at=NOW)
    values = {"accuracy": 0.5, "bytes": 100.0, "latency_ms": latency}
    results = {task.id: Result(values=values, metrics=values)}
    [conclusion] = decide(a_state(job=job, trials=[trial], tasks=[task], results=results)).conclusions
    after = conclusion.trial
    assert (after.status, after.value, after.values) == (TrialStatus.COMPLETED, 0.5, values)
    assert (after.feasible, after.violation) == (feasible, pytest.approx(violation))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"accuracy": 0.5, "bytes": 1.0}, "latency_ms has no finite value to count."),
        ({"accuracy": 0.5}, "bytes, latency_ms have no finite value to count."),
    ],
)
def test_a_trial_without_one_of_its_required_metrics_has_failed(values, reason):
    job = a_job(spec=TWO_AND_A_LIMIT, running_since=NOW - 60)
    trial, task = one_task(TaskStatus.SUCCEEDED, outcome=Outcome(status=TaskStatus.SUCCEEDED), ended_at=NOW)
    results = {task.id: Result(values=values, metrics=values)}
    [conclusion] = decide(a_state(job=job, trials=[trial], tasks=[task], results=results)).conclusions
    assert (conclusion.trial.status, conclusion.trial.reason) == (TrialStatus.FAILED, reason)
    assert (conclusion.trial.value, conclusion.trial.values) == (None, {})


GONE = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, failure=str(Failure.LOST), reason="gone")


def test_a_lost_trial_is_queued_again_until_it_was_lost_too_often():
    trial, task = one_task(TaskStatus.LOST, outcome=GONE)
    for lost in range(1, MOST_LOST + 1):
        results = {task.id: Result(values={}, metrics={}, lost=lost, again=lost)}
        actions = decide(a_state(trials=[trial], tasks=[task], results=results))
        again = lost < MOST_LOST
        # At once after the first loss, after a pause when it was lost before.
        assert [t.trial_id for t in actions.launch] == [trial.id] * (lost == 1)
        after = actions.conclusions[0].trial
        assert after.status is (TrialStatus.QUEUED if again else TrialStatus.FAILED)
        assert (after.fault, after.failure) == ((FaultKind.NONE, "") if again else (FaultKind.CLUSTER, "executor lost"))
    assert "Lost 5 times; the last time: gone" in actions.conclusions[0].trial.reason


@pytest.mark.parametrize(("lost", "pause_s"), [(1, 0.0), (2, 2.0), (3, 6.0), (4, 18.0), (5, 30.0), (5000, 30.0)])
def test_a_trial_rests_ever_longer_after_each_loss_and_others_go_before_it(lost, pause_s):
    waiting, other = a_trial(a_job(), 0, tasks=lost, reason="lost: gone"), a_trial(a_job(), 1)
    for since, rests in ((0.5 * pause_s, pause_s > 0), (pause_s, False)):
        losses = {waiting.id: (lost, NOW - since)}
        state = a_state(trials=[waiting, other], losses=losses, budget=Budget(trials=2, parallel=2))
        expected = [other.id] if rests else [waiting.id, other.id]
        assert [t.trial_id for t in decide(state).launch] == expected
        assert wanted(state) == len(expected)
        alone = decide(a_state(trials=[waiting], losses=losses, budget=Budget(trials=1, parallel=1)))
        reason = f"Waits: trial 0 was lost {lost} times, and is tried again after a pause. The last time: lost: gone"
        assert (alone.job.reason if rests else not alone.launch) == (reason if rests else False)


def test_a_configuration_that_its_program_calls_infeasible_is_no_failure_in_a_row():
    said = Outcome(status=TaskStatus.FAILED, fault=FaultKind.INFEASIBLE, failure="infeasible", reason="too wide")
    trial, task = one_task(TaskStatus.FAILED, outcome=said, ended_at=NOW)
    state = a_state(
        trials=[trial],
        tasks=[task],
        results={task.id: Result(values={}, metrics={})},
        ready=suggestions(1),
        budget=Budget(trials=9, parallel=1, failures=1),
    )
    actions = decide(state)
    [conclusion] = actions.conclusions
    assert (conclusion.trial.fault, conclusion.trial.reason, conclusion.final) == (
        FaultKind.INFEASIBLE,
        "too wide",
        True,
    )
    assert len(actions.launch) == 1


NO_PACKAGE = Outcome(
    status=TaskStatus.LOST,
    fault=FaultKind.ENVIRONMENT,
    reason="pip install -r requirements.txt failed on host7",
    explanation="ERROR: No matching distribution found for tensorflw",
)


@pytest.mark.parametrize("lost", [0, MOST_LOST])
def test_an_environment_that_cannot_be_made_ends_the_job_once_and_uses_up_no_trial(lost):
    trial, task = one_task(TaskStatus.LOST, outcome=NO_PACKAGE, ended_at=NOW)
    other = a_trial(a_job(), 1, status=TrialStatus.RUNNING, tasks=1)
    waiting = a_task(other, status=TaskStatus.CLAIMED, heartbeat_at=NOW)
    queued = a_trial(a_job(), 2)
    state = a_state(
        trials=[trial, other, queued],
        tasks=[task, waiting],
        results={task.id: Result(values={}, metrics={}, lost=lost, again=lost)},
        ready=suggestions(1),
    )
    assert wanted(state) == 0
    actions = decide(state)
    assert (actions.job.status, actions.job.reason) == (
        JobStatus.STOPPING,
        "pip install -r requirements.txt failed on host7\nERROR: No matching distribution found for tensorflw",
    )
    [conclusion] = actions.conclusions
    assert (conclusion.trial.status, conclusion.final) == (TrialStatus.STOPPED, False)
    # Other executors that make the same, or wait for it, need not.
    assert [t.id for t in actions.stop] == [waiting.id]
    assert not actions.launch
    assert [t.id for t in actions.shelve] == [queued.id]
    after = decide(a_state(job=actions.job, status=JobStatus.STOPPING)).job
    assert (after.status, after.reason) == (JobStatus.FAILED, actions.job.reason)
    resumed = decide(a_state(job=after, status=JobStatus.FAILED))
    assert (resumed.job.status, resumed.job.reason, resumed.requeue_stopped) == (JobStatus.RUNNING, "", True)


def test_a_job_that_is_to_stop_stops_whatever_its_environment():
    trial, task = one_task(TaskStatus.LOST, outcome=NO_PACKAGE, ended_at=NOW)
    actions = decide(a_state(target=JobTarget.STOPPED, trials=[trial], tasks=[task]))
    after = decide(a_state(job=actions.job, status=JobStatus.STOPPING, target=JobTarget.STOPPED)).job
    assert (after.status, after.reason) == (JobStatus.STOPPED, "")


@pytest.mark.parametrize(
    ("task", "handle", "end", "fault"),
    [
        ({}, HandleStatus.PENDING, None, None),
        ({}, None, None, None),
        ({}, HandleStatus.ENDED, TaskStatus.LOST, FaultKind.CLUSTER),
        ({}, HandleStatus.LOST, TaskStatus.LOST, FaultKind.SERVICE),
        ({}, HandleStatus.FAILED, TaskStatus.LOST, FaultKind.SERVICE),
        ({"task_status": TaskStatus.SUBMITTED}, HandleStatus.LOST, TaskStatus.LOST, FaultKind.SERVICE),
        ({"task_status": TaskStatus.SUBMITTED}, HandleStatus.FAILED, TaskStatus.LOST, FaultKind.CLUSTER),
        ({"heartbeat_at": NOW - 61}, HandleStatus.PENDING, TaskStatus.LOST, FaultKind.CLUSTER),
        ({"heartbeat_at": NOW - 59}, HandleStatus.PENDING, None, None),
        ({"stop_requested": True}, HandleStatus.PENDING, None, None),
        (
            {"stop_requested": True, "heartbeat_at": NOW - STOP_GRACE_S - 1},
            HandleStatus.PENDING,
            TaskStatus.STOPPED,
            FaultKind.NONE,
        ),
        (
            {"stop_requested": True, "task_status": TaskStatus.SUBMITTED, "heartbeat_at": None},
            HandleStatus.PENDING,
            TaskStatus.STOPPED,
            FaultKind.NONE,
        ),
        ({"task_status": TaskStatus.SUBMITTED, "heartbeat_at": None}, HandleStatus.PENDING, None, None),
    ],
)
def test_a_task_of_which_nothing_more_will_come_is_ended_and_its_handle_cancelled(task, handle, end, fault):
    trial, task = one_task(**task)
    handles = {} if handle is None else {task.handle: handle}
    actions = decide(a_state(trials=[trial], tasks=[task], handles=handles, slots=0))
    assert [(c.outcome.status, c.outcome.fault) for c in actions.conclusions] == ([(end, fault)] if end else [])
    assert list(actions.cancel) == ([task.handle] if end else [])


def test_a_stop_is_told_to_each_task_once_and_waits_for_their_ends():
    trial, task = one_task()
    told = decide(a_state(JobStatus.STOPPING, JobTarget.STOPPED, trials=[trial], tasks=[task]))
    assert (list(told.stop), told.job) == ([task], None)
    waits = decide(
        a_state(
            JobStatus.STOPPING,
            JobTarget.STOPPED,
            trials=[trial],
            tasks=[dataclasses.replace(task, stop_requested=True)],
        )
    )
    assert not waits.writes


def test_what_is_queued_when_a_job_stops_is_kept_for_its_resumption():
    queued = a_trial(a_job())
    stopped = decide(a_state(JobStatus.RUNNING, JobTarget.STOPPED, trials=[queued]))
    assert [t.status for t in stopped.shelve] == [TrialStatus.STOPPED]
    assert decide(a_state(JobStatus.STOPPED, JobTarget.RUNNING)).requeue_stopped


def test_a_lost_task_of_a_job_that_stops_is_not_run_again_before_it_is_resumed():
    outcome = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER)
    trial, task = one_task(TaskStatus.LOST, outcome=outcome)
    actions = decide(a_state(JobStatus.STOPPING, JobTarget.STOPPED, trials=[trial], tasks=[task]))
    assert [c.trial.status for c in actions.conclusions] == [TrialStatus.STOPPED]
    assert actions.job.status is JobStatus.STOPPED


@pytest.mark.parametrize(
    ("counts", "exhausted", "status", "reason"),
    [
        ({TrialStatus.COMPLETED: 3, TrialStatus.FAILED: 1}, False, JobStatus.COMPLETED, ""),
        ({TrialStatus.COMPLETED: 2}, True, JobStatus.COMPLETED, "Every configuration has been tried."),
        ({TrialStatus.FAILED: 4}, False, JobStatus.FAILED, "No trial succeeded. The last one: exit 1"),
        ({}, True, JobStatus.FAILED, "random found no configuration that the constraints allow. No trial succeeded."),
    ],
)
def test_a_job_ends_when_there_is_nothing_left_to_try(counts, exhausted, status, reason):
    last = "exit 1" if counts.get(TrialStatus.FAILED) else ""
    actions = decide(a_state(counts=counts, exhausted=exhausted, last_failure=last))
    assert (actions.job.status, actions.job.reason) == (status, reason)
    assert (actions.job.ended_at, actions.job.used_s, actions.job.running_since) == (NOW, 60.0, None)


def test_the_time_budget_counts_running_time_only_and_completes_the_job():
    budget = Budget(trials=100, minutes=2)
    job = a_job(spec=a_spec(budget=budget), used_s=59.0, running_since=NOW - 60)
    assert decide(a_state(job=job)).job is None
    job = dataclasses.replace(job, used_s=60.0)
    ending = decide(a_state(job=job)).job
    assert (ending.status, ending.reason) == (JobStatus.STOPPING, "The time budget of 2 minutes is used.")
    ended = decide(a_state(JobStatus.STOPPING, job=ending, counts={TrialStatus.COMPLETED: 1})).job
    assert (ended.status, ended.reason) == (JobStatus.COMPLETED, "The time budget of 2 minutes is used.")


def test_a_job_gives_up_after_its_failures_in_a_row_and_says_why():
    budget = Budget(trials=100, failures=3)
    ending = decide(a_state(budget=budget, failed_in_row=3, last_failure="no module named x")).job
    assert ending.status is JobStatus.STOPPING
    ended = decide(a_state(JobStatus.STOPPING, job=ending, counts={TrialStatus.FAILED: 3})).job
    assert (ended.status, ended.reason) == (
        JobStatus.FAILED,
        "The last 3 trials all failed. The last one: no module named x",
    )


def test_with_the_failure_that_is_one_too_many_nothing_more_is_launched():
    failed = Outcome(status=TaskStatus.FAILED, fault=FaultKind.PROGRAM, reason="exit 1")
    trial, task = one_task(TaskStatus.FAILED, outcome=failed)
    budget = Budget(trials=100, parallel=2, failures=3)
    actions = decide(
        a_state(budget=budget, failed_in_row=2, trials=[trial], tasks=[task], ready=suggestions(1), counts={})
    )
    assert [c.trial.status for c in actions.conclusions] == [TrialStatus.FAILED]
    assert not actions.launch
    assert not actions.ask


def test_failures_in_a_row_end_nothing_that_runs_and_begin_nothing_new():
    trial, task = one_task()
    state = a_state(
        budget=Budget(trials=100, parallel=4, failures=3),
        trials=[trial],
        tasks=[task],
        failed_in_row=3,
        last_failure="exit 1",
        ready=suggestions(1),
    )
    assert wanted(state) == 0
    held = decide(state)
    assert (held.stop, held.launch, held.ask, held.job.status) == ([], [], 0, JobStatus.RUNNING)
    assert held.job.reason.startswith(
        "Waits: the last 3 trials all failed, and nothing new begins before one that runs"
    )
    well = decide(dataclasses.replace(state, job=held.job, failed_in_row=0))
    assert (well.job.reason, len(well.launch)) == ("", 1)
    worse = decide(dataclasses.replace(state, job=held.job, failed_in_row=4, trials=[], tasks=[]))
    assert (worse.job.status, worse.job.reason) == (
        JobStatus.STOPPING,
        "The last 4 trials all failed. The last one: exit 1",
    )


def test_a_resumed_job_is_forgiven_its_failures():
    job = a_job(spec=a_spec(budget=Budget(trials=100, failures=3)), reason="gave up", ended_at=5.0, used_s=30.0)
    actions = decide(a_state(JobStatus.FAILED, job=job, counts={TrialStatus.FAILED: 3}, failed_in_row=3))
    after = actions.job
    assert (after.status, after.reason, after.ended_at, after.forgiven) == (JobStatus.RUNNING, "", None, 3)
    assert (after.running_since, after.used_s, actions.requeue_stopped) == (NOW, 30.0, True)


def test_an_algorithm_that_fails_fails_the_job_with_its_own_words():
    ending = decide(a_state(algorithm_error="Algorithm x failed: boom")).job
    ended = decide(a_state(JobStatus.STOPPING, job=ending)).job
    assert (ended.status, ended.reason) == (JobStatus.FAILED, "Algorithm x failed: boom")


def test_a_job_that_gets_no_slots_says_what_it_waits_for_and_forgets_it_when_it_goes_on():
    waiting = decide(a_state(slots=0, waiting="Waits for free slots.")).job
    assert waiting.reason == "Waits for free slots."
    assert decide(a_state(slots=0, waiting="Waits for free slots.", job=waiting)).job is None
    going_on = decide(a_state(job=waiting, ready=suggestions(1)))
    assert going_on.job.reason == ""


def test_what_spark_cannot_begin_has_its_words_and_where_the_service_is_looked_for():
    trial, task = one_task(TaskStatus.SUBMITTED)
    begun = dataclasses.replace(task, status=TaskStatus.CLAIMED)
    handles, failures = {task.handle: HandleStatus.FAILED}, {task.handle: "executor gone"}
    (conclusion,) = decide(a_state(trials=[trial], tasks=[begun], handles=handles, spark_failures=failures)).conclusions
    assert conclusion.trial.reason == "lost with its Spark job: executor gone"
    told = {
        HandleStatus.FAILED: "lost: Spark could not begin it: no such Python",
        HandleStatus.ENDED: (
            "lost: its Spark task ended without a report; its runner was not heard of, as when executors cannot reach"
            " http://tuning:8765"
        ),
    }
    for status, reason in told.items():
        state = a_state(
            trials=[trial],
            tasks=[task],
            handles={task.handle: status},
            spark_failures={task.handle: "no such Python"},
            service_url="http://tuning:8765",
        )
        (conclusion,) = decide(state).conclusions
        assert (conclusion.trial.status, conclusion.trial.reason) == (TrialStatus.QUEUED, reason)


@pytest.mark.parametrize(
    ("begun", "waited_s", "reason"),
    [
        (TaskStatus.SUBMITTED, UNBEGUN_S + 1, "no executor has begun it. Executors may be starting, or cannot reach"),
        (TaskStatus.SUBMITTED, UNBEGUN_S - 1, ""),
        (TaskStatus.CLAIMED, UNBEGUN_S + 1, ""),
    ],
)
def test_a_job_of_which_spark_begins_nothing_says_so(begun, waited_s, reason):
    trials = [a_trial(a_job(), number, status=TrialStatus.RUNNING, tasks=1) for number in (3, 4)]
    tasks = [
        a_task(trials[0], status=TaskStatus.SUBMITTED, created_at=NOW - waited_s, heartbeat_at=None),
        a_task(trials[1], status=begun, created_at=NOW, heartbeat_at=NOW),
    ]
    said = decide(a_state(trials=trials, tasks=tasks, slots=0)).job
    assert reason in (said.reason if said else "")
    assert (said is None) == (not reason)
    assert said is None or "Spark has trial 3" in said.reason


def test_a_job_whose_launches_spark_refuses_says_so_until_one_is_taken():
    refused = {"refusal": "Waits: Spark did not take the tasks.", "ready": suggestions(1)}
    waiting = decide(a_state(**refused)).job
    assert waiting.reason == "Waits: Spark did not take the tasks."
    again = decide(a_state(**refused, job=waiting))
    assert (again.job, len(again.launch)) == (None, 1)
    assert decide(a_state(ready=suggestions(1), job=waiting)).job.reason == ""


def test_what_is_wanted_is_what_could_be_launched():
    budget = Budget(trials=5, parallel=4)
    assert wanted(a_state(budget=budget)) == 4
    assert wanted(a_state(budget=budget, counts={TrialStatus.COMPLETED: 4})) == 1
    assert wanted(a_state(budget=budget, target=JobTarget.STOPPED)) == 0
    trial, task = one_task()
    assert wanted(a_state(budget=budget, trials=[trial], tasks=[task])) == 3
    assert wanted(a_state(budget=budget, trials=[trial], tasks=[task], exhausted=True)) == 0


def test_what_is_infeasible_takes_a_number_and_no_slot():
    state = a_state(ready=suggestions(5), infeasible=("", "no", "no"), slots=2, budget=Budget(trials=9, parallel=9))
    actions = decide(state)
    assert [(trial.number, trial.status) for trial in actions.store] == [
        (0, TrialStatus.QUEUED),
        (1, TrialStatus.FAILED),
        (2, TrialStatus.FAILED),
        (3, TrialStatus.QUEUED),
    ]
    assert [task.trial_number for task in actions.launch] == [0, 3]
    assert [(t.fault, t.reason) for t in actions.infeasible] == [(FaultKind.INFEASIBLE, "no")] * 2
    # Without a slot nothing is looked at, and the budget of trials ends what may be stored.
    assert not decide(dataclasses.replace(state, slots=0)).store
    few = dataclasses.replace(state, infeasible=("no",) * 5, counts={TrialStatus.FAILED: 6})
    assert [trial.number for trial in decide(few).store] == [6, 7, 8]


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Outcome(status=TaskStatus.FAILED, fault=FaultKind.PROGRAM), FaultKind.PROGRAM),
        (Outcome(status=TaskStatus.FAILED), FaultKind.PROGRAM),
        (Outcome(status=TaskStatus.SUCCEEDED), FaultKind.PROGRAM),  # and no value of its objective
        (Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER), FaultKind.NONE),  # tried again
    ],
)
def test_a_failed_trial_says_whose_fault_it_was(outcome, fault):
    trial, task = one_task(outcome.status, outcome=outcome)
    [conclusion] = decide(a_state(trials=(trial,), tasks=(task,))).conclusions
    assert conclusion.trial.fault is fault


def test_a_trial_that_was_lost_too_often_is_the_clusters_fault():
    outcome = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER)
    trial, task = one_task(TaskStatus.LOST, outcome=outcome)
    results = {task.id: Result(values={}, metrics={}, lost=MOST_LOST)}
    [conclusion] = decide(a_state(trials=(trial,), tasks=(task,), results=results)).conclusions
    assert (conclusion.trial.status, conclusion.trial.fault) == (TrialStatus.FAILED, FaultKind.CLUSTER)


def test_too_many_infeasible_configurations_in_a_row_end_the_job():
    state = a_state(infeasible_in_row=MOST_INFEASIBLE, last_failure="layer a: no", ready=suggestions(1))
    actions = decide(state)
    assert actions.job.status is JobStatus.STOPPING
    assert actions.job.reason == "100 configurations in a row could not be trained. The last one: layer a: no"
    assert decide(dataclasses.replace(state, infeasible_in_row=MOST_INFEASIBLE - 1)).launch
