"""One run of CMA-ES, from its start until it has converged: the only module that reaches into the library cmaes."""

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from cmaes import CMAwM
from numpy.typing import NDArray

from tuning_service.domain.parameters import IntParameter
from tuning_service.domain.trial import Observation
from tuning_service.search.ranking import best_first
from tuning_service.search.transform import Axis

Vector = NDArray[np.float64]

# An axis of more values is as good as a continuum.
_MOST_STEPS = 1000
# Standard deviation, in parts of a parameter's range, at which differences mean nothing to a training.
_CONVERGED = 1e-6


class Run:
    """A distribution over the axes given, which each generation moves.

    `start` (d,) is its mean, `covariance` (d, d) its shape. `population` is a generation's size, `told` counts trials.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        start: Vector,
        sigma: float,
        population: int,
        covariance: Vector | None = None,
        *,
        is_large: bool = True,
    ) -> None:
        steps = np.array([_step(axis) for axis in axes])
        bounds = np.stack([steps / 2, 1 - steps / 2], axis=1)
        self._discrete = steps > 0
        self._optimizer = CMAwM(
            mean=np.clip(start, bounds[:, 0], bounds[:, 1]),
            sigma=sigma,
            bounds=bounds,
            steps=steps,
            population_size=population,
            cov=covariance,
        )
        # After so many generations without a better one there is nothing left to find here.
        self._patience = 10 + math.ceil(30 * len(axes) / population)
        self._best = math.inf
        self._since_best = 0
        self.population = population
        self.is_large = is_large
        self.told = 0
        self.is_over = False

    def draws(self, seed: int) -> Iterator[Vector]:
        """Points (d,) from the distribution, without end, each discrete coordinate in the middle of a value's share."""
        self._optimizer.reseed_rng(seed)
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                point, _ = self._optimizer.ask()
            yield np.clip(point, 0.0, 1.0)

    def tell(self, points: Sequence[Vector], observations: Sequence[Observation]) -> None:
        """Move on: `observations`, `population` of them, were made at `points`, (d,) each."""
        order = best_first(observations)
        self.told += len(points)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._optimizer.tell([(self._pulled_in(points[i]), float(place)) for place, i in enumerate(order)])
            best = observations[order[0]]
            self.is_over = self._has_stalled(best) or self._has_converged()

    def _pulled_in(self, point: Vector) -> Vector:
        """`point` as the distribution could have drawn it."""
        inner = self._optimizer._cma  # noqa: SLF001  # it offers no other way to what it has learned
        offset = point - inner.mean
        if self._discrete.any():
            # Drawn points are stretched by this much before they are rounded to values.
            offset = np.where(self._discrete, offset / self._optimizer._A, offset)  # noqa: SLF001
        axes, lengths = inner._eigen_decomposition()  # noqa: SLF001
        length = float(np.linalg.norm((axes.T @ offset) / lengths)) / inner._sigma  # noqa: SLF001
        longest = math.sqrt(len(point)) + 2 * len(point) / (len(point) + 2)
        pulled: Vector = inner.mean + offset * min(1.0, longest / max(length, 1e-300))
        return pulled

    def _has_stalled(self, best: Observation) -> bool:
        loss = math.inf if best.loss is None or not best.is_feasible else best.loss
        self._since_best = 0 if loss < self._best else self._since_best + 1
        self._best = min(loss, self._best)
        return self._since_best > self._patience

    def _has_converged(self) -> bool:
        inner = self._optimizer._cma  # noqa: SLF001
        if not np.isfinite(inner.mean).all() or not np.isfinite(inner._C).all():  # noqa: SLF001
            return True
        widths = inner._sigma * np.sqrt(np.abs(np.diag(inner._C)))  # noqa: SLF001
        is_narrow = not self._discrete.all() and widths[~self._discrete].max() < _CONVERGED
        return bool(is_narrow or not math.isfinite(inner._sigma) or self._optimizer.should_stop())  # noqa: SLF001


def _step(axis: Axis) -> float:
    """Distance of neighbouring values, 0 for a continuum and for what is no even grid in the unit cube."""
    is_log = isinstance(axis.parameter, IntParameter) and axis.parameter.scale == "log"
    return 0.0 if axis.size is None or axis.size > _MOST_STEPS or is_log else 1 / axis.size
