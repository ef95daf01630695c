"""Configurations that a user wants tried: completed, checked, and in the order in which they are tried."""

from collections.abc import Mapping, Sequence
from typing import Any

from tuning_service.domain.errors import Conflict, FieldProblem, InvalidRequest
from tuning_service.domain.job import Budget, JobSpec
from tuning_service.domain.parameters import Params, ParamValue, identity
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, JobTarget
from tuning_service.domain.trial import QueuedPoint
from tuning_service.storage.tenant_scope import TenantScope

MOST_AT_ONCE = 10_000


def points_of(space: Space, written: Sequence[Mapping[str, ParamValue]], budget: Budget) -> tuple[Params, ...]:
    """A job file's `points`, complete. The default point, which comes before them, is checked too.

    Raises:
        InvalidRequest: with every problem of single points, a repetition, or more points than trials.
    """
    points = completed(space, written)
    problems = []
    seen: dict[Any, int] = {}
    for i, point in enumerate(points):
        first = seen.setdefault(_key(point), i)
        if first != i:
            message = f"is the same configuration as points.{first}."
            problems.append(FieldProblem(field=f"points.{i}", message=message, remedy="Remove one of them."))
    total = len(queue_of(space, points))
    if total > budget.trials:
        counted = f"{len(points)} points" + (" and the defaults" if total > len(points) else "")
        message = f"{counted} are more than budget.trials, which is {budget.trials}."
        problems.append(
            FieldProblem(field="points", message=message, remedy=f"Raise budget.trials to {total} or more.")
        )
    problems += _problems_of_defaults(space)
    if problems:
        raise InvalidRequest(*problems)
    return points


def completed(space: Space, written: Sequence[Mapping[str, ParamValue]]) -> tuple[Params, ...]:
    """`written` with all active parameters: what is left out has its default, or else the middle of its range.

    Raises:
        InvalidRequest: with every problem of every point, about `points.2.lr` and the like.
    """
    if len(written) > MOST_AT_ONCE:
        message = f"{len(written)} points are more than {MOST_AT_ONCE}."
        raise InvalidRequest(FieldProblem(field="points", message=message, remedy="Send fewer at once."))
    points: list[Params] = []
    problems: list[FieldProblem] = []
    for i, given in enumerate(written):
        point = space.completed(given)
        try:
            space.check(point, f"points.{i}")
        except InvalidRequest as error:
            problems += error.problems
        points.append(point)
    if problems:
        raise InvalidRequest(*problems)
    return tuple(points)


def first_queue(spec: JobSpec) -> list[QueuedPoint]:
    """What is tried before the algorithm is asked: the point of the defaults, then the job's own."""
    return queue_of(spec.space, spec.points)


def queue_of(space: Space, points: Sequence[Params]) -> list[QueuedPoint]:
    """The same for points that are not in a job yet."""
    queue = [_queued(i + 1, point) for i, point in enumerate(points)]
    default = space.default_point
    if default is not None and _key(default) not in {_key(point) for point in points}:
        queue.insert(0, QueuedPoint(position=0, params=default, source="default"))
    return queue


def check_feasible(spec: JobSpec) -> None:
    """Return quietly when the constraints leave something to search.

    Raises:
        InvalidRequest: no configuration was found that they allow; names them.
    """
    if not spec.space.constraints or spec.points or spec.space.default_point is not None:
        return  # those were checked, and are allowed
    from tuning_service.search.transform import SpaceTransform  # with numpy

    SpaceTransform(spec.space).check_feasible()


def enqueue(scope: TenantScope, job_id: str, written: Sequence[Mapping[str, ParamValue]]) -> list[QueuedPoint]:
    """Put points into the queue of a job that runs, in a transaction that writes. Raises as `add_points` says."""
    job = scope.job(job_id, lock=True)
    if job.target is JobTarget.DELETED:
        raise Conflict("This job is being deleted.")
    if job.status is JobStatus.COMPLETED and job.target is not JobTarget.RUNNING:
        raise Conflict("This job has completed; raise budget.trials and resume it, then add points.")
    if job.target is not JobTarget.RUNNING:
        raise Conflict(f"This job is {job.status}; resume it, then add points.")
    if not written:
        raise InvalidRequest(FieldProblem(field="points", message="there are none.", remedy="Send at least one."))
    points = completed(job.spec.space, written)
    total, made = job.spec.budget.trials, sum(scope.trial_counts([job_id])[job_id].values())
    left = total - made - job.queued_points
    if len(points) > left:
        message = (
            f"points count within budget.trials, of which {left} of {total} are left: {made} are trials already"
            f" and {job.queued_points} are queued points."
        )
        remedy = f"Send {left} at most, or raise budget.trials." if left > 0 else "Raise budget.trials first."
        raise InvalidRequest(FieldProblem(field="points", message=message, remedy=remedy))
    first = scope.last_position(job_id) + 1
    queued = [_queued(first + i, point) for i, point in enumerate(points)]
    scope.add_points(job_id, queued)
    return queued


def _queued(position: int, point: Params) -> QueuedPoint:
    return QueuedPoint(position=position, params=point, source=f"point {position}")


def _problems_of_defaults(space: Space) -> list[FieldProblem]:
    default = space.default_point
    if default is None:
        return []
    return [
        FieldProblem(
            field=f"constraints.{i}",
            message=f"{constraint.text!r} does not hold for the defaults, which are tried first: "
            + ", ".join(f"{name} = {value!r}" for name, value in default.items() if name in constraint.names)
            + ".",
            remedy="Give those parameters defaults for which it does.",
        )
        for i, constraint in enumerate(space.constraints)
        if not constraint.holds(default)
    ]


def _key(point: Params) -> frozenset[tuple[str, object]]:
    return frozenset((name, identity(value)) for name, value in point.items())
