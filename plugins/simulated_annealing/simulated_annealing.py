"""Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983) for trials that run in parallel.

The walk stands at one trial. Each suggestion is a step from there. A trial that ends better than where the walk stands
is stepped to; a worse one only with a probability that falls as the temperature does. Everything is drawn from the
seed and a trial's number, so that the same history leads to the same place.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, PendingTrial


class SimulatedAnnealing(HPTAlgorithm):
    """Failed trials cool it down, and are never stepped to."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._here: Observation | None = None
        self._ended = 0
        self._least = math.inf
        self._most = -math.inf

    def _observe(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            if observation.job:  # of an earlier one, whose losses may be on another scale
                continue
            self._ended += 1
            if observation.loss is None:
                continue
            self._least = min(self._least, observation.loss)
            self._most = max(self._most, observation.loss)
            if self._here is None or self._accepts(observation):
                self._here = observation

    def _accepts(self, observation: Observation) -> bool:
        """The Metropolis rule. The temperature is in parts of the range of losses seen: their unit does not matter."""
        worse_by = observation.loss - self._here.loss
        if worse_by <= 0:
            return True
        temperature = self.options.temperature * self._coolness * (self._most - self._least)
        draw = np.random.default_rng([self.seed, 1, observation.number]).random()
        return temperature > 0 and draw < math.exp(-worse_by / temperature)

    @property
    def _coolness(self) -> float:
        """From 1 down to 0, as trials end."""
        return self.options.cooling ** max(0, self._ended - self.options.startup_trials)

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        return [Suggestion(params=self._step(first + i)) for i in range(count)]

    def _step(self, number: int) -> dict[str, ParamValue]:
        rng = self.rng(number)
        if self._here is None or self._ended < self.options.startup_trials:
            return self.transform.sample(rng)
        unit = self.transform.to_unit(self._here.params)  # NaN where a parameter is inactive
        unit = np.where(np.isnan(unit), rng.random(len(unit)), unit)
        reach = max(0.01, self.options.reach * self._coolness)
        moved = rng.random(len(unit)) < 1 / len(unit)
        moved[rng.integers(len(unit))] = True
        for i, axis in enumerate(self.transform.axes):
            if moved[i]:  # categories have no neighbours: another one is drawn
                unit[i] = rng.random() if axis.is_category else unit[i] + rng.normal(0, reach)
        unit = np.abs(unit) % 2  # what leaves the cube is reflected at its faces
        return self.transform.from_unit(np.where(unit > 1, 2 - unit, unit))
