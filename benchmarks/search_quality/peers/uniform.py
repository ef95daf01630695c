"""Random search: each parameter uniform on its own scale."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.search_quality.searcher import Params, Searcher, Setup, Value, active_part


class Uniform(Searcher):
    """Learns nothing."""

    def __init__(self, setup: Setup) -> None:
        self._space = setup.space
        self._rng = np.random.default_rng(setup.seed)

    def ask(self) -> Params:
        """An independent draw."""
        return active_part(self._space, {name: draw(item, self._rng.random()) for name, item in self._space.items()})

    def tell(self, params: Params, loss: float) -> None:
        """Ignored."""

    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """Ignored."""


def draw(parameter: Mapping[str, Any], unit: float) -> Value:
    """The value of `parameter` at `unit`, 0 <= unit < 1; discrete values own equal shares on their scale."""
    if parameter["type"] == "categorical":
        values: list[Value] = parameter["values"]
        return values[int(unit * len(values))]
    is_int, is_log = parameter["type"] == "int", parameter.get("scale") == "log"
    low, high = (parameter["min"] - 0.5, parameter["max"] + 0.5) if is_int else (parameter["min"], parameter["max"])
    if is_log:
        low, high = math.log(low), math.log(high)
    place = low + (high - low) * unit
    value = math.exp(place) if is_log else place
    bounded = min(parameter["max"], max(parameter["min"], value))
    return round(bounded) if is_int else float(bounded)


SEARCHER = Uniform
