"""Where jobs, trials and tasks may be, and the one table of moves for each.

A request changes a job's `target` only; the controller moves its `status` towards the target.
"""

from enum import StrEnum
from typing import TypeVar

from tuning_service.domain.errors import Conflict


class JobStatus(StrEnum):
    CREATED = "created"  # stored, no controller has taken it yet
    RUNNING = "running"
    STOPPING = "stopping"  # its tasks are being ended
    STOPPED = "stopped"  # by request; can be resumed
    COMPLETED = "completed"  # budget used or space exhausted, with a completed trial; can be resumed
    FAILED = "failed"  # gave up; `reason` says why; can be resumed
    DELETING = "deleting"  # its tasks are being ended, then its rows and files go


class JobTarget(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class TrialStatus(StrEnum):
    QUEUED = "queued"  # stored; no task of it is open
    RUNNING = "running"  # one task of it is open
    COMPLETED = "completed"  # trained to its end, with a finite objective
    FAILED = "failed"  # the program's own failure; `reason` and `explanation` say why
    STOPPED = "stopped"  # by a stop of the job or the end of its time: may be queued again; or by itself: not


class TaskStatus(StrEnum):
    CREATED = "created"  # stored, not handed to Spark yet
    SUBMITTED = "submitted"  # handed to Spark
    CLAIMED = "claimed"  # a runner has it and reports
    SUCCEEDED = "succeeded"  # the program ended by itself with exit code 0 and a finite objective
    FAILED = "failed"  # the program's fault: exit code, time-out, could not be started
    STOPPED = "stopped"  # ended because the service said so
    LOST = "lost"  # the cluster's fault or the service's: executor gone, never claimed; the trial is run again


class Decision(StrEnum):
    """What a runner is told in the answer to each report."""

    CONTINUE = "continue"
    STOP = "stop"  # end the training, keep what was measured


class Role(StrEnum):
    """What a key or user may do, each including those before it."""

    VIEWER = "viewer"  # read
    MEMBER = "member"  # submit, change, stop, resume, delete
    ADMIN = "admin"  # the tenant's keys and users
    OPERATOR = "operator"  # tenants and the deployment; belongs to no tenant, and sees no jobs

    def includes(self, other: "Role") -> bool:
        """True when this role may do all that `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.CREATED: frozenset({JobStatus.RUNNING, JobStatus.STOPPED, JobStatus.FAILED, JobStatus.DELETING}),
    JobStatus.RUNNING: frozenset({JobStatus.STOPPING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.DELETING}),
    # FAILED and COMPLETED through STOPPING: what still runs is ended first, `reason` is already known.
    JobStatus.STOPPING: frozenset({JobStatus.STOPPED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.DELETING}),
    JobStatus.STOPPED: frozenset({JobStatus.RUNNING, JobStatus.DELETING}),
    JobStatus.COMPLETED: frozenset({JobStatus.RUNNING, JobStatus.DELETING}),
    JobStatus.FAILED: frozenset({JobStatus.RUNNING, JobStatus.DELETING}),
    JobStatus.DELETING: frozenset(),
}

TRIAL_MOVES: dict[TrialStatus, frozenset[TrialStatus]] = {
    TrialStatus.QUEUED: frozenset({TrialStatus.RUNNING, TrialStatus.STOPPED, TrialStatus.FAILED}),
    TrialStatus.RUNNING: frozenset(
        {TrialStatus.QUEUED, TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.STOPPED}
    ),
    TrialStatus.COMPLETED: frozenset(),
    TrialStatus.FAILED: frozenset(),
    TrialStatus.STOPPED: frozenset({TrialStatus.QUEUED}),
}

TASK_MOVES: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.CREATED: frozenset(
        {TaskStatus.SUBMITTED, TaskStatus.CLAIMED, TaskStatus.STOPPED, TaskStatus.LOST, TaskStatus.FAILED}
    ),
    TaskStatus.SUBMITTED: frozenset({TaskStatus.CLAIMED, TaskStatus.STOPPED, TaskStatus.LOST, TaskStatus.FAILED}),
    TaskStatus.CLAIMED: frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.STOPPED, TaskStatus.LOST}),
    TaskStatus.SUCCEEDED: frozenset(),
    TaskStatus.FAILED: frozenset(),
    TaskStatus.STOPPED: frozenset(),
    TaskStatus.LOST: frozenset(),
}

OPEN_JOBS = frozenset({JobStatus.CREATED, JobStatus.RUNNING, JobStatus.STOPPING, JobStatus.DELETING})
OPEN_TRIALS = frozenset({TrialStatus.QUEUED, TrialStatus.RUNNING})
OPEN_TASKS = frozenset({TaskStatus.CREATED, TaskStatus.SUBMITTED, TaskStatus.CLAIMED})

_Status = TypeVar("_Status", JobStatus, TrialStatus, TaskStatus)
_TABLES: dict[type, dict[StrEnum, frozenset[StrEnum]]] = {
    JobStatus: JOB_MOVES,  # type: ignore[dict-item]  # dict is invariant in its key
    TrialStatus: TRIAL_MOVES,  # type: ignore[dict-item]
    TaskStatus: TASK_MOVES,  # type: ignore[dict-item]
}


def move(current: _Status, to: _Status) -> _Status:
    """`to`, when the table allows that move; staying where one is, is always allowed.

    Raises:
        Conflict: the table has no such move.
    """
    if to != current and to not in _TABLES[type(current)][current]:
        kind = type(current).__name__.removesuffix("Status").lower()
        raise Conflict(f"A {current} {kind} cannot become {to}.")
    return to
