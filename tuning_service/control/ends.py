"""What the ends of tasks mean for their trials."""

import dataclasses

from tuning_service.compute.base import HandleStatus
from tuning_service.control.job_state import Conclusion, JobState, Result
from tuning_service.domain.state import OPEN_TASKS, TaskStatus, TrialStatus, move
from tuning_service.domain.trial import MOST_LOST, Failure, FaultKind, Outcome, Trial, TuningTask

# A stopped runner that has said nothing for this long is ended by force.
STOP_GRACE_S = 10.0


def end_of(task: TuningTask, state: JobState) -> Outcome | None:
    """How the task ended, by its runner's word or because nothing more will come from it; None while it goes on."""
    if task.status not in OPEN_TASKS:
        return task.outcome
    handle = state.handles.get(task.handle)
    silent = state.now - max(task.heartbeat_at or state.now, state.hearing_since)
    end: Outcome | None = None
    unclaimed = task.status is not TaskStatus.CLAIMED
    if handle is HandleStatus.FAILED and unclaimed:
        # As where executors have no such Python: it is counted, or it would be tried again without end.
        end = _lost(Failure.EXECUTOR, f"lost: Spark could not begin it: {state.spark_failures.get(task.handle, '')}")
    elif handle in {HandleStatus.LOST, HandleStatus.FAILED}:
        # After a restart of the service: the Spark application that ran it is gone. Or another task of its Spark job
        # failed too often, whose own losses are counted as it is claimed anew.
        reason = "lost: the service was restarted, or lost its connection to Spark"
        if handle is HandleStatus.FAILED:
            reason = f"lost with its Spark job: {state.spark_failures.get(task.handle, '')}"
        end = Outcome(status=TaskStatus.LOST, fault=FaultKind.SERVICE, reason=reason)
    elif handle is HandleStatus.ENDED:
        where = f"; its runner was not heard of, as when executors cannot reach {state.service_url}"
        reason = "lost: its Spark task ended without a report" + (where if unclaimed else "")
        end = _lost(Failure.LOST, reason)
    elif task.stop_requested and unclaimed:
        end = Outcome(status=TaskStatus.STOPPED, reason="stopped before it began")
    elif task.stop_requested and silent > STOP_GRACE_S:
        end = Outcome(status=TaskStatus.STOPPED, reason="stopped; its runner did not answer")
    elif silent > state.silent_s:
        reason = f"lost: its runner on {task.host} has been silent for {silent:.0f} s"
        end = _lost(Failure.SILENT, reason)
    return end


def _lost(failure: Failure, reason: str) -> Outcome:
    return Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, failure=str(failure), reason=reason)


def conclusions_of(state: JobState, *, goes_on: bool) -> list[Conclusion]:
    """Where trials go whose tasks have ended; `goes_on`: those that were lost are run again."""
    trials = {trial.id: trial for trial in state.trials}
    found = []
    for task in sorted(state.tasks, key=lambda t: (t.ended_at or state.now, t.trial_number)):
        outcome = end_of(task, state)
        trial = trials.get(task.trial_id)
        if outcome is None or trial is None:
            continue
        by_runner = task.status not in OPEN_TASKS
        result = state.results.get(task.id, Result(values={}, metrics={}))
        after, final = _after(trial, outcome, result, state, goes_on=goes_on)
        found.append(Conclusion(task=task, trial=after, outcome=None if by_runner else outcome, final=final))
    return found


def _after(trial: Trial, outcome: Outcome, result: Result, state: JobState, *, goes_on: bool) -> tuple[Trial, bool]:
    """The trial after a task of it ended so, and whether that is its end for good."""
    spec = state.job.spec
    missing = [name for name in spec.required_metrics if name not in result.values]

    def at(
        status: TrialStatus, *, reason: str = outcome.reason, explanation: str = "", failure: str = outcome.failure
    ) -> Trial:
        counts = status in {TrialStatus.COMPLETED, TrialStatus.STOPPED}
        return dataclasses.replace(
            trial,
            status=move(trial.status, status),
            value=result.values.get(spec.objective.metric) if counts else None,
            values=result.values if counts and not missing else {},
            violation=spec.excess(result.values) if counts and not missing else 0.0,
            metrics=result.metrics,
            reason=reason,
            fault=_fault(outcome) if status is TrialStatus.FAILED else FaultKind.NONE,
            failure=failure if status is TrialStatus.FAILED else "",
            explanation=explanation,
            ended_at=None if status is TrialStatus.QUEUED else state.now,
        )

    if outcome.status is TaskStatus.SUCCEEDED and not missing:
        return at(TrialStatus.COMPLETED, reason="", explanation=outcome.explanation), True
    if outcome.status is TaskStatus.SUCCEEDED:
        verb = "has" if len(missing) == 1 else "have"
        reason = f"{', '.join(missing)} {verb} no finite value to count."
        return at(TrialStatus.FAILED, reason=reason, failure=str(Failure.NAN)), True
    if outcome.status is TaskStatus.FAILED:
        return at(TrialStatus.FAILED, explanation=outcome.explanation), True
    lost = outcome.status is TaskStatus.LOST and not trial.stop_requested
    if lost and result.lost >= MOST_LOST and outcome.fault is not FaultKind.ENVIRONMENT:
        return at(TrialStatus.FAILED, reason=f"Lost {result.lost} times; the last time: {outcome.reason}"), True
    if lost and goes_on:
        return at(TrialStatus.QUEUED, reason=outcome.reason), False
    reason = "Stopped on request." if trial.stop_requested else outcome.reason
    return at(TrialStatus.STOPPED, reason=reason), trial.stop_requested


def _fault(outcome: Outcome) -> FaultKind:
    """Of a trial that failed; a program's where nobody said another."""
    return FaultKind.PROGRAM if outcome.fault is FaultKind.NONE else outcome.fault
