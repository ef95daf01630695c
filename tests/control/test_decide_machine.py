"""A random cluster, a random algorithm and a fickle tenant, played against the decision in memory."""

import dataclasses
import itertools
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.samples import a_job, a_spec
from tuning_service.compute.base import HandleStatus
from tuning_service.control.decide import busy, decide, wanted
from tuning_service.control.ends import end_of
from tuning_service.control.job_state import JobState, Result
from tuning_service.domain.job import Budget
from tuning_service.domain.state import OPEN_TASKS, OPEN_TRIALS, JobStatus, JobTarget, TaskStatus, TrialStatus, move
from tuning_service.domain.trial import FaultKind, Outcome, Suggestion

INFEASIBLE = 0.05
RESTS = {JobStatus.STOPPED, JobStatus.COMPLETED, JobStatus.FAILED}


class ClusterMachine(RuleBasedStateMachine):
    """Stores and acts as the real controller does, and checks what must hold after every step."""

    @initialize(
        trials=st.integers(1, 6),
        parallel=st.integers(1, 4),
        failures=st.integers(1, 4),
        minutes=st.none() | st.integers(1, 3),
    )
    def begin(self, trials, parallel, failures, minutes):
        self.budget = Budget(trials=trials, parallel=parallel, failures=failures, minutes=minutes)
        self.job = a_job(spec=a_spec(budget=self.budget))
        self.most_trials = trials
        self.now = 1000.0
        self.ids = itertools.count()
        self.trials, self.tasks, self.settled, self.values = {}, {}, set(), {}
        self.handles: dict[str, HandleStatus] = {}
        self.ended: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.ready, self.asked, self.exhausted, self.error = [], 0, False, ""
        self.in_row, self.last_failure = 0, ""
        self.deleted = False

    # -- the store and the controller

    def state(self, slots=0):
        counts = Counter(t.status for t in self.trials.values())
        tasks = [t for t in self.tasks.values() if t.status in OPEN_TASKS or t.id not in self.settled]
        state = JobState(
            now=self.now,
            job=self.job,
            counts=counts,
            cut=sum(1 for t in self.trials.values() if t.status is TrialStatus.STOPPED and self.ended[t.id]),
            trials=[t for t in self.trials.values() if t.status in OPEN_TRIALS],
            tasks=tasks,
            results={},
            handles=dict(self.handles),
            failed_in_row=self.in_row,
            last_failure=self.last_failure,
            ready=tuple(self.ready),
            asked=self.asked,
            exhausted=self.exhausted,
            algorithm_error=self.error,
            infeasible=tuple("no" if s.params["lr"] == INFEASIBLE else "" for s in self.ready),
            slots=slots,
        )
        results = {}
        for task in tasks:
            end = end_of(task, state)
            if end is not None:
                lost = self.lost[task.trial_id] + (end.fault is FaultKind.CLUSTER)
                value = self.values.get(task.id)
                values = {} if value is None else {"accuracy": value}
                results[task.id] = Result(values=values, metrics={}, lost=lost, again=lost)
        return dataclasses.replace(state, results=results)

    def step(self, slots):
        """One step of the controller, with `slots` free in the cluster."""
        state = self.state()
        slots = min(slots, wanted(state))
        state = dataclasses.replace(state, slots=slots)
        open_before = busy(state)
        actions = decide(state, lambda prefix: f"{prefix}_{next(self.ids)}")
        assert len(actions.launch) <= slots
        assert open_before + len(actions.launch) <= max(self.budget.parallel, open_before)
        assert not (actions.ask and self.asked), "a second question would lose the first one's answer"
        for conclusion in actions.conclusions:
            self.conclude(conclusion)
        for trial in actions.shelve:
            self.store(trial)
        for trial in actions.dropped:
            assert trial.stop_requested
            self.store(trial)
            self.ended[trial.id] += 1
        for task in actions.stop:
            self.tasks[task.id] = dataclasses.replace(self.tasks[task.id], stop_requested=True)
        for trial in actions.store:
            assert trial.id not in self.trials
            self.trials[trial.id] = trial
        for trial in actions.infeasible:
            assert (trial.params["lr"], trial.fault) == (INFEASIBLE, FaultKind.INFEASIBLE)
            self.ended[trial.id] += 1
            self.last_failure = trial.reason
        for task in actions.launch:
            trial = self.trials[task.trial_id]
            assert trial.status is TrialStatus.QUEUED
            assert task.number == trial.tasks
            self.store(dataclasses.replace(trial, status=TrialStatus.RUNNING, tasks=trial.tasks + 1))
            self.tasks[task.id] = dataclasses.replace(task, status=TaskStatus.SUBMITTED)
            self.handles[task.handle] = HandleStatus.PENDING
        del self.ready[: len(actions.store)]
        if actions.requeue_stopped:
            for trial in list(self.trials.values()):
                if trial.status is TrialStatus.STOPPED and not self.ended[trial.id]:
                    self.store(dataclasses.replace(trial, status=TrialStatus.QUEUED))
        if actions.job is not None:
            self.store_job(actions.job)
        if actions.delete:
            assert not self.open_tasks(), "a deleted job must leave no training behind"
            self.deleted = True
        self.asked += actions.ask
        return actions.writes or bool(actions.ask)

    def conclude(self, conclusion):
        task = self.tasks[conclusion.task.id]
        if conclusion.outcome is not None:
            status = move(task.status, conclusion.outcome.status)
            self.tasks[task.id] = task = dataclasses.replace(task, status=status, outcome=conclusion.outcome)
            assert task.handle in self.handles
        assert task.id not in self.settled
        self.settled.add(task.id)
        self.lost[task.trial_id] += task.outcome.fault is FaultKind.CLUSTER
        self.store(conclusion.trial)
        if conclusion.final:
            self.ended[conclusion.trial.id] += 1
            if conclusion.trial.status is TrialStatus.STOPPED:
                assert conclusion.trial.stop_requested, "only its user ends a trial for good"
                return
            failed = conclusion.trial.status is TrialStatus.FAILED
            self.in_row = self.in_row + 1 if failed else 0
            self.last_failure = conclusion.trial.reason

    def store(self, trial):
        move(self.trials[trial.id].status, trial.status)
        self.trials[trial.id] = trial

    def store_job(self, job):
        move(self.job.status, job.status)
        target = self.job.target
        if job.status in {JobStatus.FAILED, JobStatus.COMPLETED} and target is JobTarget.RUNNING:
            target = JobTarget.STOPPED
        if job.forgiven != self.job.forgiven:
            self.in_row = 0
        if job.status in RESTS:
            # The controller lets go, and whoever takes it up later starts with a fresh algorithm.
            self.ready, self.asked, self.exhausted, self.error = [], 0, False, ""
        self.job = dataclasses.replace(job, target=target)

    def rests(self):
        """True when the job is where its tenant wants it."""
        return self.job.status in RESTS and self.job.target is JobTarget.STOPPED

    def open_tasks(self):
        return [t for t in self.tasks.values() if t.status in OPEN_TASKS]

    # -- what happens

    @precondition(lambda self: not self.deleted)
    @rule(slots=st.integers(0, 5))
    def look(self, slots):
        self.step(slots)

    @precondition(lambda self: self.asked)
    @rule(
        fewer=st.sampled_from([0, 0, 0, 1, 5]),
        fails=st.sampled_from([False] * 9 + [True]),
        params=st.lists(st.sampled_from([0.01, 0.01, INFEASIBLE]), min_size=6, max_size=6),
    )
    def the_algorithm_answers(self, fewer, fails, params):
        if fails:
            self.error = "Algorithm failed: boom"
        else:
            count = max(0, self.asked - fewer)
            self.exhausted = count < self.asked
            self.ready += [Suggestion(params={"lr": lr}) for lr in params[:count]]
        self.asked = 0

    @precondition(lambda self: self.open_tasks())
    @rule(data=st.data())
    def a_runner_claims(self, data):
        task = data.draw(st.sampled_from(self.open_tasks()))
        self.tasks[task.id] = dataclasses.replace(task, status=TaskStatus.CLAIMED, heartbeat_at=self.now)

    @precondition(lambda self: any(t.status is TaskStatus.CLAIMED for t in self.tasks.values()))
    @rule(
        data=st.data(),
        end=st.sampled_from([*[TaskStatus.SUCCEEDED] * 2, TaskStatus.FAILED, TaskStatus.STOPPED, TaskStatus.LOST]),
        value=st.none() | st.floats(-1, 1),
    )
    def a_runner_reports_its_end(self, data, end, value):
        task = data.draw(st.sampled_from([t for t in self.tasks.values() if t.status is TaskStatus.CLAIMED]))
        self.report(task, end, value)

    def report(self, task, end, value):
        # A runner itself says that its execution is lost where an environment cannot be made.
        faults = {TaskStatus.FAILED: FaultKind.PROGRAM, TaskStatus.LOST: FaultKind.ENVIRONMENT}
        fault = faults.get(end, FaultKind.NONE)
        self.tasks[task.id] = dataclasses.replace(
            task,
            status=move(task.status, end),
            outcome=Outcome(status=end, fault=fault, reason="its own words"),
            ended_at=self.now,
        )
        self.values[task.id] = value
        self.handles[task.handle] = HandleStatus.ENDED

    @precondition(lambda self: self.open_tasks())
    @rule(data=st.data(), how=st.sampled_from([HandleStatus.ENDED, HandleStatus.LOST]))
    def the_cluster_loses_a_task(self, data, how):
        self.handles[data.draw(st.sampled_from(self.open_tasks())).handle] = how

    @rule(seconds=st.sampled_from([1.0, 12.0, 70.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def the_tenant_stops(self):
        if self.job.target is JobTarget.RUNNING and self.job.status not in {JobStatus.COMPLETED, JobStatus.FAILED}:
            self.job = dataclasses.replace(self.job, target=JobTarget.STOPPED)

    @rule()
    def the_tenant_resumes(self):
        if self.job.target is JobTarget.STOPPED:
            self.job = dataclasses.replace(self.job, target=JobTarget.RUNNING)

    @rule(trials=st.integers(1, 9), parallel=st.integers(1, 4), failures=st.integers(1, 4))
    def the_tenant_changes_the_budget(self, trials, parallel, failures):
        if self.job.status is not JobStatus.STOPPING and self.job.target is not JobTarget.DELETED:
            changes = {"trials": trials, "parallel": parallel, "failures": failures}
            self.budget = dataclasses.replace(self.budget, **changes)
            self.job = dataclasses.replace(self.job, spec=a_spec(budget=self.budget))
            self.most_trials = max(self.most_trials, trials)

    @precondition(lambda self: any(t.status in OPEN_TRIALS for t in self.trials.values()))
    @rule(data=st.data())
    def the_tenant_stops_a_trial(self, data):
        trial = data.draw(st.sampled_from([t for t in self.trials.values() if t.status in OPEN_TRIALS]))
        self.trials[trial.id] = dataclasses.replace(trial, stop_requested=True)

    @rule(really=st.sampled_from([False] * 7 + [True]))
    def the_tenant_deletes(self, really):
        if really:
            self.job = dataclasses.replace(self.job, target=JobTarget.DELETED)

    @rule()
    def the_service_is_killed_and_started_again(self):
        """What was in memory is gone, and so are the tasks of its Spark application."""
        self.ready, self.asked, self.exhausted, self.error = [], 0, False, ""
        for task in self.open_tasks():
            self.handles[task.handle] = HandleStatus.LOST

    # -- what must hold

    @invariant()
    def the_budget_is_kept(self):
        assert len(self.trials) <= self.most_trials
        assert sorted(t.number for t in self.trials.values()) == list(range(len(self.trials)))

    @invariant()
    def a_trial_has_at_most_one_open_task_and_ends_once(self):
        owners = Counter(t.trial_id for t in self.open_tasks())
        assert set(owners.values()) <= {1}
        assert set(self.ended.values()) <= {1}
        for trial in self.trials.values():
            unsettled = any(t.trial_id == trial.id and t.id not in self.settled for t in self.tasks.values())
            assert (trial.status is TrialStatus.RUNNING) == unsettled
            settled = trial.status in {TrialStatus.COMPLETED, TrialStatus.FAILED}
            assert self.ended[trial.id] == settled or (trial.status is TrialStatus.STOPPED and trial.stop_requested)

    @invariant()
    def whoever_rests_runs_nothing(self):
        if self.job.status in RESTS:
            assert not self.open_tasks()
            assert not any(t.status in OPEN_TRIALS for t in self.trials.values())

    def teardown(self):
        """From wherever this led, the job comes to its end, when its tasks come to theirs."""
        if not hasattr(self, "job"):
            return
        if self.job.target is JobTarget.STOPPED and self.job.status in RESTS:
            self.job = dataclasses.replace(self.job, target=JobTarget.RUNNING)  # ended, resumed: it goes on
        for _ in range(200):
            self.step(5)
            if self.deleted or self.rests():
                break
            if self.asked:
                self.ready += [Suggestion(params={"lr": 0.01})] * self.asked
                self.asked = 0
            for task in self.open_tasks():
                claimed = dataclasses.replace(task, status=TaskStatus.CLAIMED, heartbeat_at=self.now)
                self.report(claimed, TaskStatus.STOPPED if task.stop_requested else TaskStatus.SUCCEEDED, 0.5)
        else:
            raise AssertionError(f"does not come to its end: {self.job}")
        assert self.deleted == (self.job.target is JobTarget.DELETED)
        if self.job.status is JobStatus.COMPLETED and not self.job.reason:
            assert len(self.trials) >= self.budget.trials


ClusterMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCluster = ClusterMachine.TestCase
