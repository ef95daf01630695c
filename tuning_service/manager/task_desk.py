"""TaskDesk: what runners ask for. Each request carries a token that is valid for one task."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.environment import ProgramEnvironment
from tuning_service.domain.errors import GiveUp, TryAgain
from tuning_service.domain.ids import new_id
from tuning_service.domain.job import TuningJob
from tuning_service.domain.state import OPEN_TASKS, Decision, JobStatus, TaskStatus
from tuning_service.domain.texts import storable
from tuning_service.domain.trial import MOST_LOST, LaunchPlan, Measurement, Outcome, Trial, TuningTask
from tuning_service.frameworks.base import frameworks
from tuning_service.manager.curve_keeper import CurveKeeper
from tuning_service.manager.parking import parked, taken_over
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.runner.protocol import Answer, Claim, Park, Report
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.control import Losses
from tuning_service.storage.runner import RunnerRows, TaskContext
from tuning_service.storage.store import Store, Unit

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TaskDesk:
    """Hands out launch plans, takes in reports, answers with decisions. Safe from any thread."""

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        *,
        notify: Callable[[str], None],
        heartbeat_s: float = 0.5,
        log_limit_bytes: int = 4 * 2**20,
        data_dir: str = "",
        environments: Mapping[str, str] | None = None,
        clock: Clock = system_clock,
        log_patience_s: float = 10.0,
        keeper: CurveKeeper | None = None,
    ) -> None:
        """`notify` is told the id of the job each time one of its tasks has ended, after that is stored.

        `data_dir` is where executors have the data of trainings; "" when that is not the same on all of them.
        `environments` are the deployment's by name: the path of each one's interpreter on the executors.
        After `log_patience_s` of refusals by the artifact store, reports are taken without their logs.
        `keeper` is told of ends; without one, learning curves are reduced when somebody first looks at them.
        """
        self._store = store
        self._artifacts = artifacts
        self._notify = notify
        self._heartbeat_s = heartbeat_s
        self._log_limit_bytes = log_limit_bytes
        self._data_dir = data_dir
        self._environments = dict(environments or {})
        self._clock = clock
        self._log_patience_s = log_patience_s
        self._keeper = keeper
        self._refusing_since: float | None = None  # since when the artifact store takes no logs
        self._tokens = TaskTokens(store)

    def check_token(self, task_id: str, token: str) -> None:
        """Return quietly when the token is this task's. All that follow do so, too. Raises Unauthenticated."""
        self._tokens.check(task_id, token)

    def claim(self, task_id: str, token: str, claim: Claim) -> LaunchPlan | Park:
        """What to run, or that the executor is left out.

        The same claim gets the same answer again; a higher Spark attempt takes over in a new task.

        `task_id` is the ticket's, also when an earlier attempt was given a newer task.

        Raises:
            Unauthenticated: the token is not this task's.
            GiveUp: the task is not needed any more, or another runner has it.
        """
        self._tokens.check(task_id, token)
        claim = dataclasses.replace(claim, host=storable(claim.host)[:255], nonce=storable(claim.nonce)[:40])
        now = self._clock()
        with self._store.write() as unit:
            context = _newest(unit.runner, task_id)
            park, plan = None, None
            if context is not None:
                park = parked(unit, context, claim, now)
                plan = None if park else self._claimed(unit, context, claim, now)
        if plan is None:
            if context is not None and not context.parked:
                self._notify(context.job.id)
            if park is not None:
                return park
            raise GiveUp("This task is not needed any more.")
        _log.info("task claimed", **plan.context, host=claim.host, gpus=list(claim.gpus))
        return plan

    def _claimed(self, unit: Unit, context: TaskContext, claim: Claim, now: float) -> LaunchPlan | None:
        task, job, rows = context.task, context.job, unit.runner
        if task.status not in OPEN_TASKS:
            return None
        if task.attempt < 0 and (task.stop_requested or job.status is not JobStatus.RUNNING):
            rows.end(task, Outcome(status=TaskStatus.STOPPED, reason="stopped before it began"), now)
            return None
        if task.attempt >= 0:
            if claim.nonce == context.nonce:
                return self._plan(job, context.trial, task)
            if claim.attempt <= task.attempt:
                return None
            successor = self._take_over(unit, task, claim, now)
            if successor is None:
                return None
            task = successor
        claimed = dataclasses.replace(task, attempt=claim.attempt, host=claim.host, gpus=claim.gpus)
        rows.claim(claimed, claim.nonce, now)
        return self._plan(job, context.trial, claimed)

    def _take_over(self, unit: Unit, lost: TuningTask, claim: Claim, now: float) -> TuningTask | None:
        outcome, rows = taken_over(lost, claim), unit.runner
        before = unit.control.losses([lost.trial_id]).get(lost.trial_id, Losses())
        if lost.stop_requested or before.by_cluster + 1 >= MOST_LOST:
            rows.end(lost, outcome, now)
            return None
        successor = TuningTask(
            id=new_id("task"),
            trial_id=lost.trial_id,
            job_id=lost.job_id,
            tenant_id=lost.tenant_id,
            trial_number=lost.trial_number,
            number=lost.number + 1,
            status=TaskStatus.SUBMITTED,
            handle=lost.handle,
            cpus=lost.cpus,
            gpu_share=lost.gpu_share,
            price=lost.price,
            created_at=now,
        )
        rows.take_over(lost, successor, outcome, now)
        return successor

    def _plan(self, job: TuningJob, trial: Trial, task: TuningTask) -> LaunchPlan:
        spec = job.spec
        manager = frameworks()[spec.framework]
        prepared = manager.prepare(spec, trial, task.gpus)
        context = {
            "tenant": job.tenant_id,
            "job": job.id,
            "trial": str(trial.number),
            "task": task.id,
        }
        limit = spec.budget.trial_minutes
        return LaunchPlan(
            task_id=task.id,
            token=self._tokens.of(task.id),
            program=spec.program,
            argv=prepared.argv,
            environment={
                **prepared.environment,
                **{f"TUNING_{name.upper()}": value for name, value in context.items()},
                **({"DATA_DIR": self._data_dir} if self._data_dir else {}),
            },
            files=prepared.files,
            parser=manager.log_parser(spec),
            required=spec.required_metrics,
            time_limit_s=None if limit is None else 60 * limit,
            heartbeat_s=self._heartbeat_s,
            log_limit_bytes=self._log_limit_bytes,
            context=context,
            interpreter=self._interpreter(spec.environment),
            modules=prepared.modules,
            templates=prepared.templates,
            values=prepared.values,
            merged=prepared.merged,
            imports=prepared.imports,
        )

    def _interpreter(self, wanted: ProgramEnvironment) -> Mapping[str, str]:
        if wanted.name:
            # "" when the deployment has dropped it since the job was submitted: the runner says so.
            return {"name": wanted.name, "python": self._environments.get(wanted.name, "")}
        return wanted.to_dict()

    def program(self, task_id: str, token: str) -> bytes:
        """The bundle that this task runs. Raises Unauthenticated, GiveUp."""
        self._tokens.check(task_id, token)
        with self._store.read() as unit:
            context = unit.runner.context(task_id, lock=False)
        if context is None or context.task.status not in OPEN_TASKS:
            raise GiveUp("This task is not needed any more.")
        return self._artifacts.program(context.task.tenant_id, context.job.spec.program)

    def report(self, task_id: str, token: str, report: Report) -> Answer:
        """What the runner shall do. Whatever of the report was stored before is not stored again.

        Raises:
            Unauthenticated: the token is not this task's.
            GiveUp: this execution was given up; what it measures from now on does not count.
        """
        self._tokens.check(task_id, token)
        log = report.log.encode("utf-8", "replace")
        problem = self._keep_log(task_id, report.log_offset, log) if log else ""
        with self._store.write() as unit:
            task = unit.runner.task(task_id, lock=True)
            end = 0 if problem else report.log_offset + len(log)
            decision = None if task is None else self._stored(unit.runner, task, report, end, problem)
        if task is None or decision is None:
            raise GiveUp("This execution was given up.")
        if report.outcome is not None:
            _log.info(
                "task reported its end",
                tenant=task.tenant_id,
                job=task.job_id,
                trial=task.trial_number,
                task=task.id,
                status=str(report.outcome.status),
                reason=report.outcome.reason,
            )
            self._notify(task.job_id)
            if self._keeper is not None:
                self._keeper.ended(task.id)
        return Answer(decision=decision)

    def _keep_log(self, task_id: str, offset: int, log: bytes) -> str:
        """Why it could not be kept; "" when it was. Outside a transaction, since an artifact store may be slow.

        At its offset, so twice does no harm.

        Raises:
            TryAgain: the store has only just begun to refuse, and may soon be well.
        """
        with self._store.read() as unit:
            task = unit.runner.task(task_id)
        if task is None or task.status not in OPEN_TASKS:
            return ""
        try:
            self._artifacts.put_log(task.tenant_id, task.job_id, task.id, offset, log)
        except TryAgain as error:
            self._refusing_since = self._refusing_since or time.monotonic()
            if time.monotonic() - self._refusing_since < self._log_patience_s:
                raise
            # What was measured counts more than what was printed: trainings go on.
            _log.warning("a part of a log is lost", task=task_id, reason=error.message, detail=error.detail)
            return f"A part of the log was not stored. {error.message}"
        self._refusing_since = None
        return ""

    def _stored(
        self, rows: RunnerRows, task: TuningTask, report: Report, log_bytes: int, problem: str
    ) -> Decision | None:
        now = self._clock()
        if task.status not in OPEN_TASKS:
            # The last report, delivered again because its answer was lost on the way.
            delivered = report.outcome is not None and task.outcome == _clean_outcome(report.outcome)
            return Decision.STOP if delivered else None
        points = tuple(_clean_point(m) for m in report.measurements)
        withdrawn = [_clean_name(name) for name in report.withdrawn]
        rows.report(
            task,
            points,
            log_bytes,
            now,
            withdrawn=withdrawn,
            log_problem=problem,
            resources=report.resources,
        )
        if report.outcome is not None:
            rows.end(task, _clean_outcome(report.outcome), now)
        return Decision.STOP if task.stop_requested else Decision.CONTINUE


def _newest(rows: RunnerRows, handle: str) -> TaskContext | None:
    """The newest task under the handle, locked. Another claim may have stored it while this one waited for the lock."""
    context, latest = None, None
    while latest != (newest := rows.latest_for_handle(handle)):
        latest, context = newest, rows.context(newest) if newest else None
    return context


_LARGEST_STEP = 2**63 - 1


def _clean_point(point: Measurement) -> Measurement:
    step = min(max(point.step, -_LARGEST_STEP), _LARGEST_STEP)
    return dataclasses.replace(point, metric=_clean_name(point.metric), step=step)


def _clean_name(metric: str) -> str:
    return storable(metric)[:200]


def _clean_outcome(outcome: Outcome) -> Outcome:
    texts: Mapping[str, Any] = {
        name: storable(getattr(outcome, name))[:limit]
        for name, limit in (("failure", 40), ("reason", 1_000), ("explanation", 20_000), ("log_tail", 20_000))
    }
    return dataclasses.replace(outcome, **texts)
