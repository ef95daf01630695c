"""The suite that built-in algorithms pass, run over a plug-in's class in its own process."""

from collections.abc import Sequence
from typing import Any

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.search.base import HPTAlgorithm
from tuning_service.search.child import construct
from tuning_service.search.conformance import check_algorithm
from tuning_service.search.messages import AlgorithmSetup
from tuning_service.search.plugins.choice import check_space
from tuning_service.search.plugins.manifest import Manifest


def results(cls: type[HPTAlgorithm], manifest: Manifest) -> list[list[Any]]:
    """Name, success and detail of each check, JSON-ready."""

    def make(
        space: Space, objectives: Sequence[Objective], seed: int, constraints: Sequence[MetricConstraint]
    ) -> HPTAlgorithm:
        setup = AlgorithmSetup(
            space=space,
            objectives=tuple(objectives),
            algorithm=AlgorithmChoice(name=manifest.name),
            seed=seed,
            constraints=tuple(constraints),
        )
        return construct(cls, setup)

    def refuses(space: Space) -> str | None:
        try:
            check_space(manifest, space)
        except InvalidRequest as error:
            return error.message
        return None

    done = check_algorithm(
        make,
        most_objectives=manifest.most_objectives,
        takes_constraints=manifest.takes_constraints,
        refuses=refuses,
    )
    return [[result.name, result.ok, result.detail] for result in done]
