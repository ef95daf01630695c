"""What travels between the host and a child process: one line of JSON for each question and each answer.

    {"do": "open", "session", "setup"}                          -> {}
    {"do": "ask", "session", "count", "observe", "pending"}     -> {"suggestions"}
    {"do": "close", "session"}                                  -> {}

Any of them may be answered {"error": {"reason", "detail"}}; after that the session is closed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.domain.job import AlgorithmChoice, Goal, Objective, Summary
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import PendingTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmSetup:
    """All that an algorithm is built from."""

    space: Space
    objective: Objective
    algorithm: AlgorithmChoice
    seed: int


def encode(message: Mapping[str, Any]) -> bytes:
    """One line, its end included. Raises ValueError for nan and inf, which JSON cannot write."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def setup_to_json(setup: AlgorithmSetup) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "space": setup.space.to_dict(),
        "objective": [setup.objective.metric, str(setup.objective.goal), str(setup.objective.summary)],
        "algorithm": [setup.algorithm.name, dict(setup.algorithm.options)],
        "seed": setup.seed,
    }


def setup_from_json(data: Mapping[str, Any]) -> AlgorithmSetup:
    """The setup that `setup_to_json` wrote."""
    metric, goal, summary = data["objective"]
    name, options = data["algorithm"]
    return AlgorithmSetup(
        space=Space.from_dict(data["space"]),
        objective=Objective(metric=metric, goal=Goal(goal), summary=Summary(summary)),
        algorithm=AlgorithmChoice(name=name, options=options),
        seed=data["seed"],
    )


def observation_to_json(observation: Observation) -> list[Any]:
    """JSON-ready; a loss that is nan or inf becomes None, a failure."""
    loss = observation.loss if observation.loss is not None and math.isfinite(observation.loss) else None
    return [observation.number, dict(observation.params), loss]


def observation_from_json(data: Sequence[Any]) -> Observation:
    """The observation that `observation_to_json` wrote."""
    number, params, loss = data
    return Observation(number=number, params=params, loss=loss)


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
