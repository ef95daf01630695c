"""Losses on a scale that a Gaussian process can model: the good half as it is, the bad half compressed."""

from dataclasses import dataclass, replace

import numpy as np

from tuning_service.search.gp.cube import Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputScale:
    """A monotone map from losses to about zero mean and unit deviation.

    Below the median it is linear, so that differences between good points keep their proportions; above, it grows like
    a logarithm: how bad a bad point is hardly matters, and one diverged training must not flatten all the others.
    """

    unit: float  # losses are divided by it first: squares of the largest doubles overflow
    middle: float
    spread: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, losses: Matrix) -> "OutputScale":
        """The map that suits `losses` (n,), n > 0."""
        unit = float(np.abs(losses).max()) or 1.0
        values = losses / unit
        middle = float(np.median(values))
        spread = middle - float(values.min())
        if spread <= 1e-12:  # half of them are the best: what counts is how far away the others are
            spread = float(values.max()) - middle
        if spread <= 1e-12:
            return cls(unit=unit, middle=middle, spread=1.0, mean=0.0, deviation=1.0)
        bent = _bend((values - middle) / spread)
        deviation = float(bent.std())
        return cls(unit=unit, middle=middle, spread=spread, mean=float(bent.mean()), deviation=deviation)

    def moved(self, mean: float, deviation: float) -> "OutputScale":
        """The map to this mean and deviation."""
        unit = self.deviation / deviation
        return replace(self, mean=self.mean - mean * unit, deviation=unit)

    def forward(self, losses: Matrix) -> Matrix:
        """Losses (n,) on the model's scale."""
        bent = _bend((losses / self.unit - self.middle) / self.spread)
        return np.asarray((bent - self.mean) / self.deviation)

    def inverse(self, value: float) -> float:
        """The loss at `value` of the model's scale."""
        bent = value * self.deviation + self.mean
        straight = bent if bent <= 0 else float(np.expm1(min(bent, 700.0)))
        return float((straight * self.spread + self.middle) * self.unit)


def _bend(values: Matrix) -> Matrix:
    return np.where(values <= 0, values, np.log1p(np.maximum(values, 0)))
