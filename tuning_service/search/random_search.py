"""Random search."""

from collections.abc import Sequence

from tuning_service.domain.job import MOST_OBJECTIVES
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm


class RandomOptions(Options):
    """None."""


@algorithm(
    "random",
    summary="Independent draws over the whole space. A baseline, and right for very many trials in parallel.",
    options=RandomOptions,
)
class RandomSearch(HPTAlgorithm):
    """Trial n's draw depends on the seed and n alone, unless it repeats an earlier one."""

    most_objectives = MOST_OBJECTIVES
    takes_constraints = True
    learns = False

    def _observe(self, observations: Sequence[Observation]) -> None:
        pass

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        return [Suggestion(params=self.transform.sample(self.rng(first + i))) for i in range(count)]
