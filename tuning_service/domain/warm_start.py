"""What a job can learn of an earlier one: its trials, mapped to the new space, objectives and constraints.

Parameters are matched by name. A number that is within the new range and off its grid moves to the nearest value that
is on it; what is outside the range, or no value of a list, makes the trial unusable. A parameter that the earlier
trial did not have gets its default, or else its middle, which the report tells. One that is not searched any more is
left out: the program runs with its own value for it from now on, as it did not then, and the report tells that too.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.domain.job import JobSpec, TuningJob
from tuning_service.domain.parameters import FloatParameter, IntParameter, Parameter, Params, ParamValue
from tuning_service.domain.space import Space
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import Observation, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What there is to learn of one earlier job. Observations have numbers below zero, unique within the job."""

    observations: Sequence[Observation]
    report: Mapping[str, Any]  # JSON-ready: job, name, used, unused (reason: count), assumed, ignored


class _UnusableError(Exception):
    """Why a trial cannot be used; the same words for all trials with the same trouble."""


def learned(spec: JobSpec, earlier: TuningJob, trials: Sequence[Trial], *, left_out: int = 0) -> Learned:
    """What a job with `spec` learns of `trials`, which ended in the job `earlier`; `left_out` others were too many."""
    unused: Counter[str] = Counter()
    if left_out:
        unused["beyond the number of trials that are taken over; the best were"] = left_out
    assumed: dict[str, ParamValue] = {}
    observations: list[Observation] = []
    trouble = _other_objectives(spec, earlier.spec)
    if trouble and trials:
        unused[trouble] = len(trials)
        trials = ()
    for trial in trials:
        try:
            observations.append(_observation(spec, trial, -1 - len(observations), assumed))
        except _UnusableError as error:
            unused[str(error)] += 1
    report = {
        "job": earlier.id,
        "name": earlier.spec.name,
        "used": len(observations),
        "unused": dict(unused.most_common()),
        "assumed": assumed if observations else {},
        "ignored": sorted({p.name for p in earlier.spec.space} - {p.name for p in spec.space}),
    }
    return Learned(observations=observations, report=report)


def unread(earlier: TuningJob, trials: int, why: str) -> Learned:
    """Of a job that is not looked at."""
    unused = {why: trials} if trials else {}
    report = {"job": earlier.id, "name": earlier.spec.name, "used": 0, "unused": unused, "assumed": {}, "ignored": []}
    return Learned(observations=(), report=report)


def _other_objectives(spec: JobSpec, earlier: JobSpec) -> str:
    """Why no trial of `earlier` can be used; "" when its objectives are ours."""
    goals = {o.metric: o.goal for o in earlier.objectives}
    for objective in spec.objectives:
        if objective.metric not in goals:
            return f"{objective.metric} was no objective"
        if goals[objective.metric] is not objective.goal:
            return f"the goal was to {goals[objective.metric]} {objective.metric}"
    return ""


def _observation(spec: JobSpec, trial: Trial, number: int, assumed: dict[str, ParamValue]) -> Observation:
    params = _moved(spec.space, trial.params, assumed)
    if trial.status is not TrialStatus.COMPLETED:
        return Observation(number=number, params=params, losses=None, job=trial.job_id)
    losses, violations = spec.losses(trial.values), _violations(spec, trial)
    return Observation(number=number, params=params, losses=losses, violations=violations, job=trial.job_id)


def _violations(spec: JobSpec, trial: Trial) -> tuple[float, ...]:
    """Also of a metric that was not limited then: its last value is kept of all that a program prints."""
    known = {**trial.metrics, **trial.values}
    for constraint in spec.metric_constraints:
        if not math.isfinite(known.get(constraint.metric, math.nan)):
            raise _UnusableError(f"{constraint.metric} was not measured")
    return spec.violations(known)


def _moved(space: Space, params: Params, assumed: dict[str, ParamValue]) -> dict[str, ParamValue]:
    """`params` as a configuration of `space`; adds to `assumed` what was made up for it."""
    made: dict[str, ParamValue] = {}
    made_up: dict[str, ParamValue] = {}
    for parameter in space.topological:
        if not space.is_active(parameter, made):
            continue
        if parameter.name in params:
            made[parameter.name] = _nearest(parameter, params[parameter.name])
        else:
            value = parameter.middle if parameter.default is None else parameter.default
            made[parameter.name] = made_up[parameter.name] = value
    if not space.allows(made):
        raise _UnusableError("a constraint of the space does not hold")
    assumed |= made_up
    return made


def _nearest(parameter: Parameter, value: ParamValue) -> ParamValue:
    if not isinstance(parameter, (FloatParameter, IntParameter)):
        if not parameter.contains(value):
            raise _UnusableError(f"{parameter.name} had values that are not listed")
        return parameter.canonical(value)
    if isinstance(value, (bool, str)):
        raise _UnusableError(f"{parameter.name} was no number")
    if not parameter.min <= value <= parameter.max:
        raise _UnusableError(f"{parameter.name} was out of range")
    if parameter.contains(value):
        return parameter.canonical(value)
    if isinstance(parameter, IntParameter) and parameter.scale == "pow2":
        return parameter.value_at(round(math.log2(value / parameter.min)))
    if parameter.step is None:
        return round(value)
    place = round((value - parameter.min) / parameter.step)
    # The range may end between two steps.
    return parameter.value_at(min(place, (parameter.size or 1) - 1))
