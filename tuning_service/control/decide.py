"""What to do next for a job: a pure function from what is known to what shall be done."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from tuning_service.control.ends import conclusions_of, end_of
from tuning_service.control.job_state import Actions, Conclusion, JobState
from tuning_service.control.results import environment_fault
from tuning_service.domain.ids import new_id
from tuning_service.domain.job import TuningJob
from tuning_service.domain.state import OPEN_TASKS, JobStatus, JobTarget, TaskStatus, TrialStatus, move
from tuning_service.domain.texts import counted
from tuning_service.domain.trial import FaultKind, Trial, TuningTask

_ENDED = frozenset({JobStatus.STOPPED, JobStatus.COMPLETED, JobStatus.FAILED})
# A job whose algorithm suggests so many configurations in a row that cannot be trained will not find one that can.
MOST_INFEASIBLE = 100
# Suggestions asked for at once: a slow algorithm has one time limit for them all, and others wait for its process.
MOST_ASKED = 100
# A task that Spark has had for longer without any executor beginning it is worth a word.
UNBEGUN_S = 15.0
_LONGEST_REST = 15.0  # times the first one


def wanted(state: JobState) -> int:
    """How many further tasks the job could use now."""
    if not _searching(state) or _holds_back(state):
        return 0
    resting = _resting(state)
    ended = (task for task in state.tasks if (end := end_of(task, state)) and end.status is TaskStatus.LOST)
    lost = sum(1 for task in ended if task.trial_id not in resting)
    queued = sum(1 for t in state.trials if _waits(t) and t.id not in resting)
    new = min(_untried(state), len(state.ready)) if state.exhausted else _untried(state)
    return max(0, min(state.job.spec.budget.parallel - busy(state), queued + lost + new))


def pause_s(lost: int, first_s: float) -> float:
    """How long a trial rests that was lost so often: not at all after the first loss, then ever longer, up to a bound.

    What the service itself loses is tried again without end, and some of it at once: a program that cannot be fetched.
    """
    return 0.0 if lost < 2 else first_s * min(3.0 ** (min(lost, 9) - 2), _LONGEST_REST)


def _resting(state: JobState) -> Mapping[str, int]:
    """Trials that are not tried again yet, with how often they were lost."""
    losses = dict(state.losses)
    for task in state.tasks:
        if task.id in state.results:
            losses[task.trial_id] = state.results[task.id].again, task.ended_at or state.now
    return {trial: lost for trial, (lost, at) in losses.items() if at + pause_s(lost, state.retry_pause_s) > state.now}


def _why_resting(state: JobState) -> str:
    """What a job says of which all other trials have ended; "" when none rests."""
    resting = _resting(state)
    trial = next((t for t in state.trials if t.id in resting and t.status is TrialStatus.QUEUED), None)
    if trial is None:
        return ""
    why = f" The last time: {trial.reason}" if trial.reason else ""
    return f"Waits: trial {trial.number} was lost {resting[trial.id]} times, and is tried again after a pause.{why}"


def _why_unbegun(state: JobState, still_open: Sequence[TuningTask]) -> str:
    """What a job says of which nothing runs, since no runner has asked for what Spark was given; "" when one has."""
    if not still_open or any(task.status is TaskStatus.CLAIMED for task in still_open):
        return ""
    first = min(still_open, key=lambda task: (task.created_at, task.trial_number))
    if state.now - first.created_at < UNBEGUN_S:
        return ""
    return (
        f"Waits: Spark has trial {first.trial_number}, and no executor has begun it. Executors may be starting,"
        f" or cannot reach the service at {state.service_url}."
    )


def _why_waiting(state: JobState, still_open: Sequence[TuningTask], *, launches: bool) -> str:
    """What a job says while nothing of it runs; "" when something does, or will in a moment."""
    if still_open and _holds_back(state) and (_untried(state) or _queued(state)):
        return (
            f"Waits: the last {state.failed_in_row} trials all failed, and nothing new begins before one that runs has"
            f" ended well, or budget.failures is raised. The last one: {state.last_failure}"
        )
    if still_open or launches:
        return (launches and state.refusal) or _why_unbegun(state, still_open)
    return state.waiting or state.refusal or state.algorithm_trouble or _why_resting(state)


def busy(state: JobState) -> int:
    """Tasks that are open and go on."""
    return sum(1 for task in state.tasks if end_of(task, state) is None)


def decide(state: JobState, make_id: Callable[[str], str] = new_id) -> Actions:
    """What to do next. Called again after each change, so it may leave for the next time what depends on this."""
    job = state.job
    if job.status is JobStatus.CREATED or (job.status in _ENDED and job.target is JobTarget.RUNNING):
        return _begin(state)
    conclusions = conclusions_of(state, goes_on=_searching(state))
    concluded = {c.task.id for c in conclusions}
    still_open = [t for t in state.tasks if t.status in OPEN_TASKS and t.id not in concluded]
    if job.status is JobStatus.RUNNING and _searching(state):
        return _search(state, conclusions, still_open, make_id)
    return _wind_down(state, conclusions, still_open)


def _begin(state: JobState) -> Actions:
    job, now = state.job, state.now
    if job.target is JobTarget.DELETED:
        return Actions(job=_at(job, JobStatus.DELETING))
    if job.target is JobTarget.STOPPED:
        return Actions(job=_at(job, JobStatus.STOPPED, ended_at=now))
    settled = state.counts.get(TrialStatus.COMPLETED, 0) + state.counts.get(TrialStatus.FAILED, 0) + state.cut
    running = _at(
        job,
        JobStatus.RUNNING,
        reason="",
        started_at=job.started_at or now,
        ended_at=None,
        running_since=now,
        forgiven=settled,
    )
    return Actions(job=running, requeue_stopped=job.status is not JobStatus.CREATED)


def _searching(state: JobState) -> bool:
    job = state.job
    return (
        job.status in {JobStatus.CREATED, JobStatus.RUNNING} and job.target is JobTarget.RUNNING and not _end_of(state)
    )


def _end_of(state: JobState) -> str:
    """Why the job has to end before its trials are used up; "" when it has not."""
    job = state.job
    if state.algorithm_error:
        return state.algorithm_error
    if fault := environment_fault(end_of(task, state) for task in state.tasks):
        return fault
    if _out_of_time(state):
        return f"The time budget of {counted(job.spec.budget.minutes or 0, 'minute')} is used."
    # What fails does so soon, and what runs meanwhile may be well: that is not ended for it.
    if _holds_back(state) and not busy(state):
        row = state.failed_in_row
        failed = f"The last {row} trials all failed. The last one" if row > 1 else "The last trial failed"
        return f"{failed}: {state.last_failure}"
    if state.infeasible_in_row >= MOST_INFEASIBLE:
        count = f"{state.infeasible_in_row} configurations in a row"
        return f"{count} could not be trained. The last one: {state.last_failure}"
    return ""


def _holds_back(state: JobState) -> bool:
    """True when so many trials have failed in a row that nothing new begins."""
    return state.failed_in_row >= state.job.spec.budget.failures


def _failures_after(state: JobState, conclusions: Sequence[Conclusion]) -> int:
    """How many trials will have failed in a row once the conclusions are stored."""
    count = state.failed_in_row
    for conclusion in conclusions:
        # What cannot be trained, or was stopped, is neither for nor against the program.
        silent = conclusion.trial.fault is FaultKind.INFEASIBLE or conclusion.trial.status is TrialStatus.STOPPED
        if conclusion.final and not silent:
            count = count + 1 if conclusion.trial.status is TrialStatus.FAILED else 0
    return count


def _out_of_time(state: JobState) -> bool:
    job, minutes = state.job, state.job.spec.budget.minutes
    used = job.used_s + (state.now - job.running_since if job.running_since is not None else 0.0)
    return minutes is not None and used >= 60 * minutes


def _queued(state: JobState) -> int:
    """Trials that wait for a task, or for being dropped."""
    return sum(1 for t in state.trials if t.status is TrialStatus.QUEUED)


def _waits(trial: Trial) -> bool:
    """True of a trial that a task is wanted for."""
    return trial.status is TrialStatus.QUEUED and not trial.stop_requested


def _dropped(state: JobState) -> list[Trial]:
    """Queued trials that their user has stopped, as they are from now on."""
    return [
        dataclasses.replace(trial, status=TrialStatus.STOPPED, reason="Stopped on request.", ended_at=state.now)
        for trial in state.trials
        if trial.status is TrialStatus.QUEUED and trial.stop_requested
    ]


def _untried(state: JobState) -> int:
    return untried(state.job, state.counts)


def untried(job: TuningJob, counts: Mapping[TrialStatus, int]) -> int:
    """Trials of the budget that are not stored yet: none when there are more than a lowered budget has."""
    return max(0, job.spec.budget.trials - sum(counts.values()))


# -- going on


def _search(
    state: JobState, conclusions: list[Conclusion], still_open: list[TuningTask], make_id: Callable[[str], str]
) -> Actions:
    job, budget = state.job, state.job.spec.budget
    room = min(state.slots, budget.parallel - len(still_open))
    if _failures_after(state, conclusions) >= budget.failures:
        room = 0  # what was started now would be stopped by the next decision
    again = [c.trial for c in conclusions if c.trial.status is TrialStatus.QUEUED]
    queued = [t for t in state.trials if _waits(t)] + again
    resting = _resting(state)
    queued = sorted((t for t in queued if t.id not in resting), key=lambda t: t.number)[: max(0, room)]
    fresh = _fresh(state, room - len(queued), make_id)
    started = [trial for trial in fresh if trial.status is TrialStatus.QUEUED]
    launch = [_task_of(trial, state, make_id) for trial in [*queued, *started]]
    ask = min(room - len(launch), _untried(state) - len(fresh), MOST_ASKED)
    if job.queued_points > len(fresh):
        ask = 0  # infeasible ones were many, and the user's other points go before what the algorithm suggests
    finished = not (still_open or launch or again or _queued(state) or state.ready or state.asked)
    used_up = finished and (not _untried(state) or state.exhausted)
    waiting = "" if used_up else _why_waiting(state, still_open, launches=bool(launch))
    after = job
    if used_up:
        after = _finished(state, conclusions, "" if not _untried(state) else state.ending or _exhausted(state))
    elif waiting != job.reason:
        after = dataclasses.replace(job, reason=waiting)
    return Actions(
        job=after if after is not job else None,
        conclusions=conclusions,
        dropped=_dropped(state),
        stop=_to_stop(state, still_open),
        store=fresh,
        launch=launch,
        cancel=_to_cancel(conclusions),
        # One question at a time: a second would take the place of the first, whose answer would be lost.
        ask=0 if state.exhausted or state.asked else max(0, ask),
    )


def _exhausted(state: JobState) -> str:
    spec, made = state.job.spec, sum(state.counts.values())
    if not made or (spec.space.constraints and any(parameter.size is None for parameter in spec.space)):
        return f"{spec.algorithm.name} found no{' further' * bool(made)} configuration that the constraints allow."
    return "Every configuration has been tried."


def _to_stop(state: JobState, still_open: Sequence[TuningTask]) -> list[TuningTask]:
    """Tasks of trials that their user has stopped, which do not know it yet."""
    unwanted = {trial.id for trial in state.trials if trial.stop_requested}
    return [task for task in still_open if task.trial_id in unwanted and not task.stop_requested]


def _fresh(state: JobState, room: int, make_id: Callable[[str], str]) -> list[Trial]:
    """Trials of what is ready, until `room` of them can be launched; infeasible ones between them have failed."""
    fresh: list[Trial] = []
    stored = sum(state.counts.values())
    for i, suggestion in enumerate(state.ready[: _untried(state)]):
        if room <= 0:
            break
        reason = state.infeasible[i] if i < len(state.infeasible) else ""
        room -= not reason
        fresh.append(
            Trial(
                id=make_id("trial"),
                job_id=state.job.id,
                tenant_id=state.job.tenant_id,
                number=stored + i,
                params=suggestion.params,
                status=TrialStatus.FAILED if reason else TrialStatus.QUEUED,
                source=suggestion.source,
                reason=reason,
                fault=FaultKind.INFEASIBLE if reason else FaultKind.NONE,
                created_at=state.now,
                ended_at=state.now if reason else None,
            )
        )
    return fresh


def _task_of(trial: Trial, state: JobState, make_id: Callable[[str], str]) -> TuningTask:
    resources = state.job.spec.resources
    task_id = make_id("task")
    return TuningTask(
        id=task_id,
        trial_id=trial.id,
        job_id=trial.job_id,
        tenant_id=trial.tenant_id,
        trial_number=trial.number,
        number=trial.tasks,
        status=TaskStatus.CREATED,
        handle=task_id,
        cpus=resources.cpus,
        gpu_share=resources.gpus,
        price=state.price,
        created_at=state.now,
    )


# -- ending


def _wind_down(state: JobState, conclusions: list[Conclusion], still_open: list[TuningTask]) -> Actions:
    job = state.job
    shelve = [dataclasses.replace(t, status=TrialStatus.STOPPED, ended_at=state.now) for t in state.trials if _waits(t)]
    after = job
    if job.status is JobStatus.DELETING:
        pass
    elif job.target is JobTarget.DELETED:
        after = _at(job, JobStatus.DELETING)
    elif job.status is JobStatus.RUNNING:
        after = _at(job, JobStatus.STOPPING, reason=_end_of(state))
    elif not still_open and job.status is JobStatus.STOPPING:
        after = _ended(state, conclusions)
    return Actions(
        job=after if after is not job else None,
        conclusions=conclusions,
        dropped=_dropped(state),
        stop=[task for task in still_open if not task.stop_requested],
        shelve=shelve,
        cancel=_to_cancel(conclusions),
        delete=job.status is JobStatus.DELETING and not still_open,
    )


def _ended(state: JobState, conclusions: list[Conclusion]) -> TuningJob:
    reason = state.job.reason
    if state.job.target is JobTarget.STOPPED or not reason:
        return _at(state.job, JobStatus.STOPPED, reason="", **_closing(state))
    if _out_of_time(state):
        return _finished(state, conclusions, reason)
    return _at(state.job, JobStatus.FAILED, reason=reason, **_closing(state))


def _finished(state: JobState, conclusions: list[Conclusion], reason: str) -> TuningJob:
    completed = state.counts.get(TrialStatus.COMPLETED, 0) + sum(
        1 for c in conclusions if c.trial.status is TrialStatus.COMPLETED
    )
    if completed:
        return _at(state.job, JobStatus.COMPLETED, reason=reason, **_closing(state))
    failures = [c.trial.reason for c in conclusions if c.trial.status is TrialStatus.FAILED]
    last = failures[-1] if failures else state.last_failure
    reason = " ".join(part for part in (reason, "No trial succeeded.", last and f"The last one: {last}") if part)
    return _at(state.job, JobStatus.FAILED, reason=reason, **_closing(state))


def _closing(state: JobState) -> dict[str, float | None]:
    job = state.job
    ran = state.now - job.running_since if job.running_since is not None else 0.0
    return {"ended_at": state.now, "used_s": job.used_s + ran, "running_since": None}


def _at(job: TuningJob, status: JobStatus, **changes: object) -> TuningJob:
    moved: TuningJob = dataclasses.replace(job, status=move(job.status, status), **changes)  # type: ignore[arg-type]
    return moved


def _to_cancel(conclusions: Sequence[Conclusion]) -> list[str]:
    """Handles of tasks that were ended over their runner's head: whatever still runs there shall go."""
    return [c.task.handle for c in conclusions if c.outcome is not None]
