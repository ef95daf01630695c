"""From lines of results to regret and ranks, with confidence intervals. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Vector = NDArray[np.float64]
Place = tuple[str, int]  # task and seed: where all searchers are compared
_RESAMPLES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


class Results:
    """Cells that did not fail, by searcher and workers."""

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Of several lines for one cell the last counts."""
        self.cells: dict[tuple[str, int], dict[Place, Mapping[str, Any]]] = {}
        self.failed: dict[str, str] = {}
        for line in lines:
            name, workers = line["searcher"], line["workers"]
            where = f"{name} {line['task']} seed {line['seed']} workers {workers}"
            if "error" in line:
                self.failed[where] = line["error"].strip().splitlines()[-1]
                continue
            self.failed.pop(where, None)
            self.cells.setdefault((name, workers), {})[line["task"], line["seed"]] = line

    @property
    def workers(self) -> list[int]:
        """All settings, in order."""
        return sorted({workers for _, workers in self.cells})

    def searchers(self, workers: int) -> list[str]:
        """Those that have cells with so many workers."""
        return sorted(name for name, count in self.cells if count == workers)

    def places(self, searchers: Iterable[str], workers: int, scenario: str = "") -> list[Place]:
        """Tasks and seeds that every one of `searchers` has, of one scenario if named."""
        sets = [set(self.cells.get((name, workers), {})) for name in searchers]
        common = set.intersection(*sets) if sets else set()
        return sorted(place for place in common if not scenario or place[0].startswith(f"{scenario}:"))

    def regret(self, searcher: str, workers: int, places: Sequence[Place]) -> NDArray[np.float64]:
        """Normalised regret of the best so far, (places, evaluations), cut to the shortest cell."""
        cells = [self.cells[searcher, workers][place] for place in places]
        shortest = min((len(cell["losses"]) for cell in cells), default=0)
        return np.array([regret_curve(cell["losses"], cell["reference"])[:shortest] for cell in cells])


def regret_curve(losses: Sequence[float], reference: Mapping[str, float]) -> Vector:
    """(best so far - reference's best) / (median of random - reference's best), after each completed evaluation."""
    best = np.minimum.accumulate(np.asarray(losses, dtype=np.float64))
    curve: Vector = (best - reference["best"]) / (reference["middling"] - reference["best"])
    return curve


def estimate(values: Vector) -> Estimate:
    """Of values (n,) by bootstrap over them."""
    means = values[_resampled(len(values))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(mean=float(values.mean()), low=float(low), high=float(high))


def ratio(above: Vector, below: Vector) -> Estimate:
    """Of the means of two paired (n,), the pairs resampled together."""
    chosen = _resampled(len(above))
    ratios = above[chosen].mean(axis=1) / below[chosen].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(mean=float(above.mean() / below.mean()), low=float(low), high=float(high))


def ranks(regrets: Sequence[Vector]) -> NDArray[np.float64]:
    """(searchers, places) of 1 for the best; equals share the mean of their places. From (places,) of each searcher."""
    ranked: NDArray[np.float64] = rankdata(np.stack(regrets), axis=0)
    return ranked


def suggestion_seconds(cells: Iterable[Mapping[str, Any]], kind: str) -> Vector:
    """Median over cells of the seconds for each suggestion in turn, (evaluations,); `kind` is "wall" or "cpu"."""
    every = [cell[f"ask_{kind}_s"] for cell in cells]
    return np.array([median(found) for found in zip(*every, strict=False)])


def _resampled(size: int) -> NDArray[np.int64]:
    # The same draws for every estimate of that size, so that a table is the same each time it is made.
    return np.random.default_rng(0).integers(size, size=(_RESAMPLES, size))
