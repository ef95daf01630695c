"""The default: Bayesian optimisation with a Gaussian process of our own. docs/search-auto.md says how it works."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import Field

from tuning_service.domain.job import MOST_OBJECTIVES
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.trial import Observation, Recommendation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tuning_service.search.gp.engine import Engine

# Results without which the model has nothing to say, however many trials are running.
_LEAST = 3


class AutoOptions(Options):
    initial_points: int = Field(
        default=6,
        ge=3,
        le=1000,
        description="Trials before the model takes over from points that cover the space evenly. Those of earlier jobs "
        "and running ones count.",
    )


@algorithm(
    "auto",
    summary="Models the objectives, their noise, constraints and failures. The default, for any space and budget.",
    options=AutoOptions,
)
class Auto(HPTAlgorithm):
    """Running trials count as ended with what the model expects of them; failed ones teach it where trials fail."""

    options: AutoOptions
    most_objectives = MOST_OBJECTIVES
    takes_constraints = True

    @cached_property
    def _engine(self) -> "Engine":
        from tuning_service.search.gp.cube import Cube
        from tuning_service.search.gp.engine import Engine

        return Engine(
            Cube(self.transform),
            self.transform.feasible,
            objectives=len(self.objectives),
            constraints=len(self.constraints),
        )

    def _observe(self, observations: Sequence[Observation]) -> None:
        from tuning_service.search.gp.history import Known

        for o in observations:
            self._engine.observe(
                Known(
                    number=o.number,
                    point=self.transform.to_unit(o.params),
                    losses=o.losses,
                    violations=o.violations,
                    job=o.job,
                )
            )

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        numbers = range(first, first + count)
        if self._engine.succeeded < _LEAST or self._engine.known + len(pending) < self.options.initial_points:
            return [Suggestion(params=self._start(number)) for number in numbers]
        found = self._engine.suggest(self._points(pending), [self.rng(number) for number in numbers])
        params = [self.transform.from_unit(point) for point in found]
        # Where it finds nothing new, random draws do, as long as there is anything.
        params += [self.transform.sample(self.rng(number)) for number in numbers[len(params) :]]
        return [Suggestion(params=p) for p in params]

    def recommend(self) -> Recommendation | None:
        found = self._engine.recommend() if len(self.objectives) == 1 else None
        return None if found is None else Recommendation(number=found[0], loss=found[1])

    def _start(self, number: int) -> dict[str, ParamValue]:
        """The middle of the space, then points that cover it evenly, whatever has been found out."""
        import numpy as np
        from scipy.stats import qmc

        width = len(self.transform.axes)
        if number == self._attempt == 0:
            params = self.transform.from_unit(np.full(width, 0.5))
        else:
            sequence = qmc.Sobol(width, seed=np.random.default_rng([self.seed, self._attempt]))
            params = self.transform.from_unit(sequence.fast_forward(number).random()[0])
        return params if self.space.allows(params) else self.transform.sample(self.rng(number))

    def _points(self, pending: Sequence[PendingTrial]) -> "NDArray[np.float64]":
        import numpy as np

        points = [self.transform.to_unit(p.params) for p in pending]
        return np.array(points).reshape(len(points), len(self.transform.axes))
