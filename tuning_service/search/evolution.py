"""Regularised evolution. Real et al., "Regularized Evolution for Image Classifier Architecture Search", 2019.

With one objective the population is the last trials that ended: each member dies of age, however good, so that a
lucky result does not stay for ever. With several, it is the best of all trials by front and crowding, as in NSGA-II.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import Field

from tuning_service.domain.job import MOST_OBJECTIVES
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Mutations of one parent for one that the space's constraints allow, before a uniform draw takes its place.
_MUTATIONS = 20
# Steps along an axis have a standard deviation between these, in parts of its range, each order of magnitude as often.
_NARROWEST, _WIDEST = 0.01, 0.5


class EvolutionOptions(Options):
    population: int = Field(
        default=25, ge=2, le=10_000, description="Members of the population; as many random draws come first."
    )
    tournament: int = Field(
        default=10, ge=1, le=10_000, description="Members drawn at random, of which the best has the next child."
    )
    mutations: float = Field(
        default=1.5, ge=1, le=100, description="Parameters in which a child differs from its parent, on average."
    )


@algorithm(
    "evolution",
    summary="Mutates good trials. For very many trials in parallel, deep conditions, and several objectives.",
    options=EvolutionOptions,
)
class Evolution(HPTAlgorithm):
    """Failed trials are members that win no tournament; the best trials of earlier jobs are the first population."""

    options: EvolutionOptions
    most_objectives = MOST_OBJECTIVES
    takes_constraints = True

    @cached_property
    def _earlier(self) -> list[Observation]:
        """Trials of earlier jobs."""
        return []

    @cached_property
    def _own(self) -> list[Observation]:
        return []

    def _observe(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            (self._earlier if observation.job else self._own).append(observation)
            self.__dict__.pop("_parents", None)

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        return [Suggestion(params=self._params(first + i)) for i in range(count)]

    def _params(self, number: int) -> dict[str, ParamValue]:
        rng = self.rng(number)
        is_early = number + len(self._earlier) < self.options.population
        if (
            is_early
            or not self.transform.searched
            or len(self._parents) < min(self.options.tournament, self.options.population)
        ):
            return self.transform.sample(rng)
        # The parents stand in order: the first one drawn is the best.
        drawn = rng.choice(len(self._parents), min(self.options.tournament, len(self._parents)), replace=False)
        parent = self._parents[int(drawn.min())]
        for _ in range(_MUTATIONS if self.space.constraints else 1):
            params = self.transform.from_unit(self._mutated(self.transform.to_unit(parent.params), rng))
            if self.space.allows(params):
                return params
        return self.transform.sample(rng)

    @cached_property
    def _parents(self) -> list[Observation]:
        """The members of the population that have not failed, the best first."""
        from tuning_service.search.ranking import best_first
        from tuning_service.search.warm_start import on_one_scale

        size = self.options.population
        if len(self.objectives) > 1:
            known = on_one_scale([*self._earlier, *self._own], self.transform)
            members = [known[i] for i in best_first(known, size)[:size]]
        elif len(self._own) >= size:
            members = self._own[-size:]
        else:
            known = on_one_scale([*self._earlier, *self._own], self.transform)
            earlier = known[: len(self._earlier)]
            left = size - len(self._own)
            members = [*(earlier[i] for i in best_first(earlier, left)[:left]), *known[len(earlier) :]]
        return [members[i] for i in best_first(members) if members[i].losses is not None]

    def _mutated(self, unit: "NDArray[np.float64]", rng: "np.random.Generator") -> "NDArray[np.float64]":
        """A child of the configuration at `unit` (d,), which differs from it in one active parameter at least."""
        import numpy as np

        is_active = ~np.isnan(unit)
        # What becomes active has no value to inherit.
        child = np.where(is_active, unit, rng.random(len(unit)))
        searched = np.array(self.transform.searched)
        active = searched[is_active[searched]]
        # Asked again because the child was no new one: change more.
        rate = (self.options.mutations - 1 + self._attempt) / max(1, len(active) - 1)
        chosen = active[rng.random(len(active)) < rate].tolist()
        for i in {int(rng.choice(active)), *chosen}:
            child[i] = self._moved(i, child[i], rng)
        return child

    def _moved(self, place: int, unit: float, rng: "np.random.Generator") -> float:
        """A coordinate on one axis, of another value than that at `unit`."""
        axis = self.transform.axes[place]
        if axis.is_category and axis.size is not None:
            index = (int(unit * axis.size) + 1 + int(rng.integers(axis.size - 1))) % axis.size
            return (index + 0.5) / axis.size
        step = rng.normal() * _NARROWEST * (_WIDEST / _NARROWEST) ** rng.random()
        moved = abs(unit + step) % 2  # reflected at both ends
        moved = float(2 - moved if moved > 1 else moved)
        if axis.size is None or axis.value_at is None:
            return moved
        here = axis.from_unit(unit)
        if axis.identity(axis.from_unit(moved)) != axis.identity(here):
            return moved
        index = axis.parameter.index_of(here)  # type: ignore[arg-type]  # of its own kind
        is_up = index == 0 or (index < axis.size - 1 and rng.random() < 0.5)
        return axis.to_unit(axis.value_at(index + 1 if is_up else index - 1))
