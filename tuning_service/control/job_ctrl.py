"""TuningJobCtrl: drives one job, for as long as the lease is held."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from tuning_service.compute.base import ComputeBackend, HandleStatus
from tuning_service.control.asking import Search
from tuning_service.control.decide import busy, decide, untried, wanted
from tuning_service.control.ends import end_of
from tuning_service.control.feasibility import Feasibility
from tuning_service.control.hearing import Hearing
from tuning_service.control.job_state import Actions, JobState, Result
from tuning_service.control.plugins import plugin_source
from tuning_service.control.results import summarise
from tuning_service.control.shares import Demand
from tuning_service.control.standing import QuotaRaceError, StaleError, Standing, check_quota
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.job import TuningJob
from tuning_service.domain.principal import Tenant
from tuning_service.domain.state import OPEN_JOBS, OPEN_TASKS, JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import Failure, FaultKind, TuningTask
from tuning_service.runner.protocol import TaskTicket
from tuning_service.search.base import PendingTrial
from tuning_service.search.host import AlgorithmHost, AlgorithmSession, AlgorithmSetup
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.control import ControlRows, Lease, Losses, OpenWork
from tuning_service.storage.store import Store, Unit

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_POLL_S = 1.0
_MARK_S = 0.5
# Of the user's, that an algorithm is told of before they are tried: where constraints leave little, it begins there.
_POINTS = 50
_AT_WORK = frozenset({JobStatus.RUNNING, JobStatus.STOPPING})
_ENDED = frozenset({JobStatus.COMPLETED, JobStatus.STOPPED, JobStatus.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a controller works with; one set for all its jobs."""

    store: Store
    artifacts: ArtifactStore
    backend: ComputeBackend
    algorithms: AlgorithmHost
    token: Callable[[str], str]  # a task id's token
    service_url: str
    notify: Callable[[str], None]  # have another look at this job
    clock: Callable[[], float] = time.time
    silent_s: float = 60.0
    retry_pause_s: float = 2.0
    plugins: PluginCache | None = None  # needed for jobs that name a plug-in
    managers_apart: bool = False  # they are other processes, which may be away while this one is well


class TuningJobCtrl:
    """One job under one lease. Used by one thread.

    A step is: look (poll, load), decide (and ask the algorithm, when suggestions are wanted), commit, act. Nothing that
    is slow happens inside a transaction, and whatever is launched was stored before.
    """

    def __init__(self, lease: Lease, tools: Tools) -> None:
        self.lease = lease
        self.finished = False  # nothing is left to do until the tenant wants something else
        self.demand: Demand | None = None
        self.target: JobTarget | None = None  # as of the last step
        self._tools = tools
        self._handles: Mapping[str, HandleStatus] = {}
        self._spark_failures: Mapping[str, str] = {}
        self._known: set[str] = set()
        self._polled_at = 0.0
        self._search: Search | None = None
        self._feasibility: Feasibility | None = None
        self._opinion_is_new = False  # the algorithm's on the best trial, which is not stored yet
        self._launched_at = 0.0
        self._refusal = ""  # why Spark did not take the last launch
        self._unmarked: list[str] = []  # submitted, and not stored as such yet
        self._standing = Standing(tools.clock)
        self._hearing = Hearing(tools.silent_s, managers_apart=tools.managers_apart)

    def step(self, grant: Callable[[Demand], tuple[int, str]]) -> bool:
        """Do what can be done now. True when another step has something to do at once.

        `grant` says how many further tasks may be launched for a demand, and why none.

        Raises:
            LeaseLost: drop this object; another controller has the job.
        """
        self._poll()
        state = self._look(grant)
        if state is None:
            self.finished = True
            return False
        state = self._with_infeasible(state)
        actions = decide(state)
        if actions.ask:
            state = self._with_infeasible(self._ask(state, actions))
            actions = decide(state)
        actions = self._with_last_word(state, actions)
        if actions.delete:
            # Before the rows: while those are there, somebody will try again.
            self._tools.artifacts.delete_job(state.job.tenant_id, state.job.id)
        if actions.writes or self._opinion_is_new or self._marks_are_due():
            try:
                self._commit(state, actions)
            except StaleError as error:
                # The algorithm may have been told of ends that were not stored.
                self.close()
                return not isinstance(error, QuotaRaceError)
            self._note(state, actions)
        launched = self._act(state, actions)
        self.finished = actions.delete or (actions.job or state.job).status not in OPEN_JOBS
        if self.finished:
            self.close()
            return False
        assert self._search is not None
        if not self._search.has_news:
            self._search.wonder(state.job, self._open, self._tools.notify)
        asks_on = launched and actions.ask > 0  # what was launched was not all that there are slots for
        return actions.job is not None or bool(actions.unrun) or self._search.has_news or asks_on

    def close(self) -> None:
        """Give back what this object holds, except for the lease."""
        if self._search:
            self._search.close()
        self._search = None

    # -- looking

    def _poll(self) -> None:
        """Ask the backend about the tasks known from before: whoever has ended by now has reported before the load."""
        now = time.monotonic()
        if self._known and now - self._polled_at >= _POLL_S:
            self._handles = self._tools.backend.poll(self._known)
            failed = [handle for handle, status in self._handles.items() if status is HandleStatus.FAILED]
            self._spark_failures = {handle: self._tools.backend.failure(handle) for handle in failed}
            self._polled_at = now

    def _look(self, grant: Callable[[Demand], tuple[int, str]]) -> JobState | None:
        tools = self._tools
        with tools.store.read() as unit:
            job = unit.control.job(self.lease.job_id)
            if job is None:
                return None
            work = unit.control.open_work(job.id)
            search = self._search_of(unit, job)
            tenant = self._standing.look(unit, job)
            hearing_since = self._hearing.look(unit, tools.clock())
            again = [t.id for t in work.trials if t.status is TrialStatus.QUEUED and t.tasks]
            losses = unit.control.losses(again)
            # No more than one step can take.
            search.points = unit.control.queued_points(job.id, job.spec.budget.parallel) if job.queued_points else []
        search.collect()
        stored, job = job, search.opinion_of(job)
        self._opinion_is_new = job is not stored
        self.target = job.target
        counts = {**search.ended, **work.open_counts}
        state = JobState(
            now=tools.clock(),
            hearing_since=hearing_since,
            job=job,
            counts=counts,
            cut=search.ended[TrialStatus.STOPPED],
            trials=work.trials,
            tasks=work.tasks,
            results={},
            handles={handle: self._handles[handle] for handle in self._known if handle in self._handles},
            spark_failures=self._spark_failures,
            failed_in_row=len(search.failures),
            last_failure=search.last_failure,
            infeasible_in_row=search.infeasible,
            silent_s=tools.silent_s,
            losses={trial: (lost.all, lost.last) for trial, lost in losses.items()},
            retry_pause_s=tools.retry_pause_s,
            price=self._standing.price,
            refusal=self._refusal,
            service_url=tools.service_url,
            **search.state(untried(job, counts)),
        )
        self._remember_handles(work)
        return self._with_slots(dataclasses.replace(state, results=self._results(state)), tenant, grant)

    def _with_slots(self, state: JobState, tenant: Tenant, grant: Callable[[Demand], tuple[int, str]]) -> JobState:
        self.demand = Demand(
            tenant_id=tenant.id,
            resources=state.job.spec.resources,
            running=busy(state),
            wanted=wanted(state),
            tenant_limit=tenant.max_parallel,
            tenant_gpus=tenant.max_gpus,
            weight=tenant.weight,
            used_up=self._standing.used_up,
            launched_at=self._launched_at,
        )
        slots, waiting = grant(self.demand) if self.demand.wanted else (0, "")
        return dataclasses.replace(state, slots=slots, waiting=self._standing.steady(waiting, state.job))

    def _remember_handles(self, work: OpenWork) -> None:
        self._known = {task.handle for task in work.tasks if task.status in OPEN_TASKS}
        if not self._handles.keys() >= self._known:
            # Tasks of an earlier controller: ask about them soon.
            self._polled_at = min(self._polled_at, time.monotonic() - _POLL_S + 0.1)

    def _search_of(self, unit: Unit, job: TuningJob) -> Search:
        if self._search is None:
            warm = unit.control.warm_trials(job.id) if job.spec.warm_start else []
            self._search = Search.of(job, warm, unit.control.settled_trials(job.id))
        return self._search

    def _results(self, state: JobState) -> dict[str, Result]:
        ended = [(task, end) for task in state.tasks if (end := end_of(task, state)) is not None]
        if not ended:
            return {}
        results = {}
        with self._tools.store.read() as unit:
            for task, outcome in ended:
                values, metrics = summarise(state.job.spec, unit.control.measurements(task.id))
                lost = again = 0
                if outcome.status is TaskStatus.LOST and outcome.failure != str(Failure.CORDONED):
                    known = unit.control.losses([task.trial_id]).get(task.trial_id, Losses())
                    new = task.status in OPEN_TASKS
                    again = known.all + new
                    lost = known.by_cluster + new if outcome.fault is FaultKind.CLUSTER else 0
                results[task.id] = Result(values=values, metrics=metrics, lost=lost, again=again)
        return results

    def _with_infeasible(self, state: JobState) -> JobState:
        """With what is known of the configurations that could be launched now."""
        if not state.slots or not state.ready:
            return state
        if self._feasibility is None:
            self._feasibility = Feasibility(state.job, self._tools.store, self._tools.artifacts)
        return dataclasses.replace(state, infeasible=self._feasibility.problems(state.ready))

    def _ask(self, state: JobState, actions: Actions) -> JobState:
        """Ask the algorithm, and wait a moment: a prompt answer is launched by the very step that asked for it."""
        tools, search, job = self._tools, self._search, state.job
        assert search is not None
        ended = {c.trial.id: c.trial for c in actions.conclusions if c.final}
        ended |= {trial.id: trial for trial in actions.unrun}
        open_trials = [t for t in [*state.trials, *actions.store] if t.id not in ended]
        pending = [PendingTrial(number=t.number, params=t.params) for t in open_trials]
        first = sum(state.counts.values()) + len(actions.store)
        rest = state.ready[len(actions.store) :]
        pending += [PendingTrial(number=first + i, params=s.params) for i, s in enumerate(rest)]
        search.ask(job, actions.ask, list(ended.values()), pending, self._open, tools.notify)
        return dataclasses.replace(state, **search.state(untried(job, state.counts)))

    def _open(self, job: TuningJob) -> AlgorithmSession:
        tools, spec = self._tools, job.spec
        setup = AlgorithmSetup(
            space=spec.space,
            objectives=spec.objectives,
            algorithm=spec.algorithm,
            seed=spec.seed,
            constraints=spec.metric_constraints,
            points=spec.points[:_POINTS],
        )
        return tools.algorithms.open(job.id, setup, plugin_source(job, tools.store, tools.artifacts, tools.plugins))

    def _with_last_word(self, state: JobState, actions: Actions) -> Actions:
        """`actions`, without the job's end while the algorithm considers which trial is best."""
        after, search = actions.job, self._search
        if after is None or after.status not in _ENDED or state.job.status not in _AT_WORK:
            return actions
        assert search is not None
        ended = [*(c.trial for c in actions.conclusions if c.final), *actions.unrun]
        if not search.considers_end(state.job, ended, self._open, self._tools.notify):
            return actions
        return dataclasses.replace(actions, job=None)

    # -- storing

    def _commit(self, state: JobState, actions: Actions) -> None:
        now = state.now
        assert self._search is not None
        with self._tools.store.write() as unit:
            rows = unit.control
            if not rows.fence(self.lease, seen=state.job):
                raise StaleError  # points or another budget came in between, and may have been counted upon
            if ended := [c.task.id for c in actions.conclusions if c.outcome is not None]:
                rows.hold([*ended, *(task.id for task in actions.stop), *self._unmarked])
            place = self._conclude(rows, actions, now)
            for trial in actions.shelve:
                rows.set_trial(trial, now)
            rows.mark_submitted(self._unmarked)
            rows.request_stop([task.id for task in actions.stop])
            rows.add_trials(actions.store)
            for number, trial in enumerate(actions.unrun):
                rows.set_trial(trial, now, settled=place + number)
            rows.take_points(
                state.job.id,
                {p.position: t.number for p, t in zip(self._search.points, actions.store, strict=False)},
            )
            rows.add_tasks(actions.launch)
            if actions.launch:
                check_quota(unit, state.job)
            if actions.requeue_stopped:
                rows.requeue_stopped(state.job.id)
            if actions.job is not None:
                rows.set_job(actions.job, now)
            elif self._opinion_is_new:
                rows.set_model_best(state.job)
            if actions.delete:
                rows.delete_job(state.job.id)

    def _conclude(self, rows: ControlRows, actions: Actions, now: float) -> int:
        """Store what ended tasks mean; the place in the history of the trial that ends next."""
        assert self._search is not None
        place = self._search.settled
        for conclusion in actions.conclusions:
            if conclusion.outcome is None:
                rows.settle(conclusion.task)
            elif not rows.end_task(conclusion.task, conclusion.outcome, now):
                raise StaleError
            rows.set_trial(conclusion.trial, now, settled=place if conclusion.final else None)
            place += conclusion.final
        return place

    def _note(self, state: JobState, actions: Actions) -> None:
        """Keep memory in step with what was just stored."""
        search = self._search
        assert search is not None
        self._unmarked = []
        del search.ready[: max(0, len(actions.store) - len(search.points))]
        if actions.job is not None and actions.job.forgiven != state.job.forgiven:
            search.forgive()
        if actions.launch and self.demand is not None:
            # Other jobs' turns come before this one's next look, and must not be given the same slots.
            self._launched_at = time.monotonic()
            self.demand = dataclasses.replace(
                self.demand,
                running=self.demand.running + len(actions.launch),
                wanted=max(0, self.demand.wanted - len(actions.launch)),
                launched_at=self._launched_at,
            )
        for conclusion in actions.conclusions:
            trial = conclusion.trial
            if conclusion.final:
                search.take(trial, state.job)
            log.info(
                "trial ended" if conclusion.final else "task ended",
                trial=trial.number,
                task=conclusion.task.id,
                status=str(trial.status),
                **_given(value=trial.value, reason=trial.reason),
            )
        for trial in actions.unrun:
            search.take(trial, state.job)
            log.info("trial ended", trial=trial.number, status=str(trial.status), reason=trial.reason)
        if actions.job is not None:
            log.info("job moved", status=str(actions.job.status), **_given(reason=actions.job.reason))

    # -- acting

    def _act(self, state: JobState, actions: Actions) -> bool:
        """True when anything was launched."""
        if actions.cancel:
            self._tools.backend.cancel(actions.cancel)
        return bool(actions.launch) and self._launch(state.job, actions.launch)

    def _launch(self, job: TuningJob, tasks: Sequence[TuningTask]) -> bool:
        """False when they were refused."""
        tools = self._tools
        tickets = [TaskTicket(task_id=t.id, token=tools.token(t.id), service_url=tools.service_url) for t in tasks]
        try:
            tools.backend.submit(tickets, job.spec.resources)
        except TryAgain as error:
            log.warning("launch refused", reason=error.message, detail=error.detail)
            self._refusal = f"Waits: {error.message}"
            with tools.store.write() as unit:
                unit.control.fence(self.lease)
                unit.control.withdraw(tasks)
            return False
        self._refusal = ""
        self._handles = {**self._handles, **{task.handle: HandleStatus.PENDING for task in tasks}}
        self._known |= {task.handle for task in tasks}
        self._unmarked += [task.id for task in tasks]
        for task in tasks:
            log.info("task launched", trial=task.trial_number, task=task.id)
        return True

    def _marks_are_due(self) -> bool:
        """True when what was submitted a while ago is not stored as such, and no other write came by to do it.

        Most tasks are claimed before that, so a transaction of its own for each launch would be wasted.
        """
        return bool(self._unmarked) and time.monotonic() - self._launched_at >= _MARK_S


def _given(**values: object) -> dict[str, object]:
    """Those that say something: a log line without a reason has no field for it."""
    return {name: value for name, value in values.items() if value not in {None, ""}}
