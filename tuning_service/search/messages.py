"""What travels between the host and a child process: one line of JSON for each question and each answer.

    {"do": "open", "session", "setup"}                          -> {}
    {"do": "ask", "session", "observe", "count", "pending"}     -> {"suggestions"}
    {"do": "recommend", "session", "observe"}                   -> {"recommendation"}
    {"do": "close", "session"}                                  -> {}

Any of them may be answered {"error": {"reason", "detail"}}; after that the session is closed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.domain.job import AlgorithmChoice, Goal, MetricConstraint, Objective, Summary
from tuning_service.domain.parameters import Params
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Recommendation, Suggestion
from tuning_service.search.base import PendingTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmSetup:
    """All that an algorithm is built from."""

    space: Space
    objectives: tuple[Objective, ...]
    algorithm: AlgorithmChoice
    seed: int
    constraints: tuple[MetricConstraint, ...] = ()
    points: tuple[Params, ...] = ()  # the user's, which meet the space's constraints


def encode(message: Mapping[str, Any]) -> bytes:
    """One line, its end included. Raises ValueError for nan and inf, which JSON cannot write."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def setup_to_json(setup: AlgorithmSetup) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "space": setup.space.to_dict(),
        "space_constraints": [c.text for c in setup.space.constraints],
        "objectives": [[o.metric, str(o.goal), str(o.summary)] for o in setup.objectives],
        "constraints": [c.text for c in setup.constraints],
        "points": [dict(point) for point in setup.points],
        "algorithm": [setup.algorithm.name, setup.algorithm.version, dict(setup.algorithm.options)],
        "seed": setup.seed,
    }


def setup_from_json(data: Mapping[str, Any]) -> AlgorithmSetup:
    """The setup that `setup_to_json` wrote."""
    name, version, options = data["algorithm"]
    return AlgorithmSetup(
        space=Space.from_dict(data["space"], data["space_constraints"]),
        objectives=tuple(
            Objective(metric=metric, goal=Goal(goal), summary=Summary(summary))
            for metric, goal, summary in data["objectives"]
        ),
        constraints=tuple(MetricConstraint.parse(text, "metric_constraints") for text in data["constraints"]),
        points=tuple(data["points"]),
        algorithm=AlgorithmChoice(name=name, version=version, options=options),
        seed=data["seed"],
    )


def observation_to_json(observation: Observation) -> list[Any]:
    """JSON-ready; with a number that is nan or inf, which JSON cannot write, it becomes a failure."""
    losses, violations = observation.losses, observation.violations
    if losses is None or not all(map(math.isfinite, (*losses, *violations))):
        losses, violations = None, ()
    return [observation.number, dict(observation.params), losses, violations, observation.job, observation.telling]


def observation_from_json(data: Sequence[Any]) -> Observation:
    """The observation that `observation_to_json` wrote."""
    number, params, losses, violations, job, telling = data
    return Observation(
        number=number,
        params=params,
        losses=None if losses is None else tuple(losses),
        violations=tuple(violations),
        job=job,
        telling=telling,
    )


def pending_to_json(pending: PendingTrial) -> list[Any]:
    """JSON-ready."""
    return [pending.number, dict(pending.params)]


def pending_from_json(data: Sequence[Any]) -> PendingTrial:
    """The pending trial that `pending_to_json` wrote."""
    number, params = data
    return PendingTrial(number=number, params=params)


def suggestion_to_json(suggestion: Suggestion) -> list[Any]:
    """JSON-ready."""
    return [dict(suggestion.params), suggestion.source]


def suggestion_from_json(data: Sequence[Any]) -> Suggestion:
    """The suggestion that `suggestion_to_json` wrote."""
    params, source = data
    return Suggestion(params=params, source=source)


def recommendation_to_json(recommendation: Recommendation | None) -> list[Any] | None:
    """JSON-ready, of numpy's numbers too; None for one whose loss JSON cannot write."""
    if recommendation is None or not math.isfinite(recommendation.loss):
        return None
    return [int(recommendation.number), float(recommendation.loss)]


def recommendation_from_json(data: Sequence[Any] | None) -> Recommendation | None:
    """The recommendation that `recommendation_to_json` wrote."""
    return None if data is None else Recommendation(number=data[0], loss=data[1])
