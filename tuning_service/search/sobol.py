"""Quasi-random search: scrambled Sobol points. Owen, "Scrambling Sobol' and Niederreiter-Xing Points", 1998."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tuning_service.domain.job import MOST_OBJECTIVES
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# After 2**30 points the sequence has no more to give, and begins again.
_LENGTH = 2**30
# Points that are looked at for one which the space's constraints allow, before random draws take over: to begin with,
# and for each found.
_FIRST_LOOK = 2000
_LOOK = 200
_BLOCK = 64


class SobolOptions(Options):
    """None."""


@algorithm(
    "sobol",
    summary="Points spread evenly over the whole space (scrambled Sobol). Like random, without its gaps and clusters.",
    options=SobolOptions,
)
class Sobol(HPTAlgorithm):
    """Trial n gets point n of the sequence, or of those of its points that the space's constraints allow.

    That depends on the seed and n alone, unless it repeats an earlier trial: then point n of another scrambling comes.
    """

    most_objectives = MOST_OBJECTIVES
    takes_constraints = True
    learns = False

    @cached_property
    def _sequences(self) -> "dict[int, _Sequence]":
        return {}

    def _observe(self, observations: Sequence[Observation]) -> None:
        pass

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        return [Suggestion(params=self._params(first + i)) for i in range(count)]

    def _params(self, number: int) -> dict[str, ParamValue]:
        if not self.transform.searched:
            return self.transform.sample(self.rng(number))
        if self._attempt not in self._sequences:
            self._sequences[self._attempt] = _Sequence(len(self.transform.searched), [self.seed, self._attempt])
        sequence = self._sequences[self._attempt]
        place: int | None = number
        if self.space.constraints:
            place = sequence.allowed(number, lambda points: self.transform.feasible(self._vectors(points)))
        if place is None:
            return self.transform.sample(self.rng(number))
        return self.transform.from_unit(self._vectors(sequence.points(place, 1))[0])

    def _vectors(self, points: "NDArray[np.float64]") -> "NDArray[np.float64]":
        import numpy as np

        vectors = np.full((len(points), len(self.transform.axes)), 0.5)
        vectors[:, self.transform.searched] = points
        return vectors


class _Sequence:
    """One scrambled sequence, read at any place."""

    def __init__(self, dimensions: int, seed: list[int]) -> None:
        import numpy as np
        from scipy.stats import qmc

        self._engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
        self._next = 0
        self._allowed: list[int] = []
        self._looked_at = 0

    def points(self, start: int, count: int) -> "NDArray[np.float64]":
        """Points number `start` to `start + count - 1`, (count, d). Skipping a million takes milliseconds."""
        start %= _LENGTH - count
        if start < self._next:
            self._engine.reset()
            self._next = 0
        if start > self._next:
            self._engine.fast_forward(start - self._next)
        self._next = start + count
        found: NDArray[np.float64] = self._engine.random(count)
        return found

    def allowed(self, number: int, test: "Callable[[NDArray[np.float64]], NDArray[np.bool_]]") -> int | None:
        """Place of point `number` among those that `test` allows; None when that are too few to look for it."""
        import numpy as np

        while len(self._allowed) <= number:
            if self._looked_at > _FIRST_LOOK + _LOOK * len(self._allowed):
                return None
            ok = test(self.points(self._looked_at, _BLOCK))
            self._allowed += [self._looked_at + int(i) for i in np.flatnonzero(ok)]
            self._looked_at += _BLOCK
        return self._allowed[number]
