"""CMA-ES by the library cmaes, with margin for discrete parameters. Hansen, "The CMA Evolution Strategy: A Tutorial",
2016; Hamano et al., "CMA-ES with Margin", 2022; restarts: Auger and Hansen (IPOP), 2005, Hansen (BIPOP), 2009.

Trials end in any order, long after the distribution that they were drawn from has moved on, and some were not drawn
from it at all. So whatever has ended makes up the next generation as soon as there is enough of it, and what lies too
far out is pulled in before it counts: Hansen, "Injecting External Solutions Into CMA-ES", 2011. That also makes the
distribution a function of the ended trials alone.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import CategoricalParameter, Params, ParamValue
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tuning_service.search.cma_run import Run

# Draws for one that the space's constraints allow, before a uniform one takes its place.
_DRAWS = 100
_LARGEST_POPULATION = 1000


class CmaesOptions(Options):
    population: int | None = Field(
        default=None,
        ge=4,
        le=_LARGEST_POPULATION,
        description="Trials of a generation, of the first run; null: 4 + 3 ln(number of parameters).",
    )
    sigma: float = Field(
        default=0.3, ge=1e-6, le=1, description="Standard deviation to begin with, in parts of a parameter's range."
    )
    restarts: Literal["bipop", "ipop"] = Field(
        default="bipop",
        description="What follows a run that has converged: ipop, one with twice the population; bipop, such runs and "
        "small ones in turn.",
    )


@algorithm(
    "cmaes",
    summary="Learns a normal distribution of good trials. For numeric parameters that depend on each other, and over a "
    "hundred trials.",
    options=CmaesOptions,
)
class Cmaes(HPTAlgorithm):
    """Failed trials count as the worst of their generation; trials of earlier jobs tell where to begin."""

    options: CmaesOptions
    takes_constraints = True

    @classmethod
    def check_space(cls, space: Space) -> None:
        """Return quietly unless a parameter has conditions, or categories without an order."""
        remedy = "Remove it, or choose another algorithm."
        problems = [
            FieldProblem(field=f"space.{p.name}.when", message="cmaes cannot search with conditions.", remedy=remedy)
            for p in space
            if p.when
        ]
        problems += [
            FieldProblem(
                field=f"space.{p.name}",
                message=f"cmaes cannot search {p.size} categories, which have no order.",
                remedy="Make it ordinal if they have one, or choose another algorithm.",
            )
            for p in space
            if isinstance(p, CategoricalParameter) and p.size > 2
        ]
        if problems:
            raise InvalidRequest(*problems)

    @cached_property
    def _earlier(self) -> list[Observation]:
        """Trials of earlier jobs."""
        return []

    @cached_property
    def _waiting(self) -> list[Observation]:
        """Ended trials that are not yet a generation."""
        return []

    @cached_property
    def _runs(self) -> "list[Run]":
        """All runs so far, of which the last one goes on."""
        import numpy as np

        from tuning_service.search.cma_run import Run

        population = self.options.population or 4 + math.floor(3 * math.log(len(self.transform.searched)))
        start, covariance = np.full(len(self.transform.searched), 0.5), None
        sigma = self.options.sigma
        default = self.space.default_point
        if any(o.losses is not None for o in self._earlier):
            start, sigma, covariance = self._learned_start()
        elif default is not None:
            start = self._point(default)
        return [Run([self.transform.axes[i] for i in self.transform.searched], start, sigma, population, covariance)]

    def _observe(self, observations: Sequence[Observation]) -> None:
        if not self.transform.searched:
            return
        for observation in observations:
            if observation.job:
                self._earlier.append(observation)
                self.__dict__.pop("_runs", None)  # begins elsewhere now; nothing was told to it yet
                continue
            self._waiting.append(observation)
            run = self._runs[-1]
            if len(self._waiting) == run.population:
                run.tell([self._point(o.params) for o in self._waiting], self._waiting)
                self._waiting.clear()
                if run.is_over:
                    self._runs.append(self._next_run())

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        return [Suggestion(params=self._params(first + i)) for i in range(count)]

    def _params(self, number: int) -> dict[str, ParamValue]:
        import numpy as np

        rng = self.rng(number)
        if self.transform.searched:
            draw = self._runs[-1].draws(int(rng.integers(2**32)))
            vector = np.full(len(self.transform.axes), 0.5)
            for _ in range(_DRAWS if self.space.constraints else 1):
                vector[self.transform.searched] = next(draw)
                params = self.transform.from_unit(vector)
                if self.space.allows(params):
                    return params
        return self.transform.sample(rng)

    def _point(self, params: Params) -> "NDArray[np.float64]":
        return self.transform.to_unit(params)[self.transform.searched]

    def _next_run(self) -> "Run":
        """As Hansen 2009 has it: the regime that has had fewer trials is next; the first run counts as a large one."""
        import numpy as np

        from tuning_service.search.cma_run import Run

        rng = np.random.default_rng([self.seed, len(self._runs)])
        first = self._runs[0].population
        large = [r for r in self._runs if r.is_large]
        population = min(_LARGEST_POPULATION, first * 2 ** len(large))
        sigma, is_large = self.options.sigma, True
        spent_large = sum(r.told for r in large)
        if self.options.restarts == "bipop" and sum(r.told for r in self._runs) - spent_large < spent_large:
            share = rng.random()
            population = max(first, int(first * (0.5 * population / first) ** (share**2)))
            sigma, is_large = sigma * 10 ** (-2 * rng.random()), False
        axes = [self.transform.axes[i] for i in self.transform.searched]
        return Run(axes, rng.random(len(axes)), sigma, population, is_large=is_large)

    def _learned_start(self) -> "tuple[NDArray[np.float64], float, NDArray[np.float64]]":
        """Mean, sigma and covariance of earlier jobs' good trials: Nomura et al., "Warm Starting CMA-ES", 2021."""
        from cmaes import get_warm_start_mgd

        from tuning_service.search.ranking import ranks
        from tuning_service.search.warm_start import on_one_scale

        completed = [o for o in on_one_scale(self._earlier, self.transform) if o.losses is not None]
        solutions = [(self._point(o.params), float(rank)) for o, rank in zip(completed, ranks(completed), strict=True)]
        mean, sigma, covariance = get_warm_start_mgd(solutions, gamma=min(1.0, max(0.1, 3.01 / len(solutions))))
        return mean, min(self.options.sigma, sigma), covariance
