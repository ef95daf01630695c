"""Claims from executors that are left out."""

from tuning_service.domain.pool import Cordon
from tuning_service.domain.state import OPEN_TASKS, JobStatus, TaskStatus
from tuning_service.domain.trial import Failure, FaultKind, Outcome, TuningTask
from tuning_service.runner.protocol import Claim, Park
from tuning_service.storage.runner import TaskContext
from tuning_service.storage.store import Unit

_AGAIN_S = 5.0  # a parked runner asks this often whether it goes on


def parked(unit: Unit, context: TaskContext, claim: Claim, now: float) -> Park | None:
    """The answer to a claim from an executor that is left out, whose task goes back; None to any other claim.

    The slot is held for as long as the job runs and the cordon holds, so that Spark has nothing else to put there.
    """
    task = context.task
    cordon = unit.cordons.find(context.job.spec.pool, claim.host, now)
    if cordon is None or context.job.status is not JobStatus.RUNNING or not _may_wait(context, claim):
        if context.parked:
            unit.cordons.leave(task.id)
        return None
    if task.status in OPEN_TASKS:
        unit.runner.end(task, _not_begun(cordon) if task.attempt < 0 else taken_over(task, claim), now)
    unit.cordons.park(task.id, claim.host, now)
    left_s = _AGAIN_S if cordon.ends_at is None else min(_AGAIN_S, cordon.ends_at - now)
    return Park(seconds=max(0.2, left_s), reason=_told(cordon))


def _may_wait(context: TaskContext, claim: Claim) -> bool:
    """True for a task that has no runner, and for the runner of one that waits already."""
    task = context.task
    if task.status not in OPEN_TASKS:
        return context.parked
    return not task.stop_requested and claim.attempt > task.attempt


def taken_over(lost: TuningTask, claim: Claim) -> Outcome:
    """The end of an execution of which Spark has started a further attempt."""
    return Outcome(
        status=TaskStatus.LOST,
        fault=FaultKind.CLUSTER,
        failure=str(Failure.LOST),
        reason=f"the executor on {lost.host} was lost; Spark attempt {claim.attempt} took over",
    )


def _not_begun(cordon: Cordon) -> Outcome:
    # Of the service, which does not count as a loss: the trial goes elsewhere at once.
    return Outcome(status=TaskStatus.LOST, fault=FaultKind.SERVICE, failure=str(Failure.CORDONED), reason=_told(cordon))


def _told(cordon: Cordon) -> str:
    why = f": {cordon.reason}" if cordon.reason else ""
    return f"not begun: the executor on {cordon.host} is left out{why}"
