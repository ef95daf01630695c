"""BoTorch as in its tutorials: SingleTaskGP, qLogNoisyExpectedImprovement, optimize_acqf, a Sobol start."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim.optimize import optimize_acqf
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch.quasirandom import SobolEngine

from benchmarks.search_quality.searcher import Params, Pending, Searcher, Setup, Value, active_part

Point = list[float]


class BotorchNei(Searcher):
    """The unit cube with logarithms taken, integers rounded and categories one-hot; pending points go in as X_pending.

    An inactive parameter is put in the middle, so that configurations which are one to the objective are one to the
    model.
    """

    def __init__(self, setup: Setup) -> None:
        torch.manual_seed(setup.seed)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        self._space = setup.space
        self._width = sum(_width(item) for item in setup.space.values())
        self._sobol = SobolEngine(self._width, scramble=True, seed=setup.seed)
        self._start = 2 * (len(setup.space) + 1)
        self._asked = 0
        self._points: list[Point] = []
        self._losses: list[float] = []
        self._pending: Pending[Point] = Pending()

    def ask(self) -> Params:
        """From the Sobol start, then where the acquisition function is best."""
        first = self._asked < self._start or not self._losses
        unit = self._sobol.draw(1)[0] if first else self._best()
        self._asked += 1
        params = self._params(unit.tolist())
        self._pending.put(params, self._point(params))
        return params

    def tell(self, params: Params, loss: float) -> None:
        """Kept for the next fit."""
        self._points.append(self._pending.take(params))
        self._losses.append(loss)

    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """Kept for the first fit."""
        self._points += [self._point(params) for params, _ in history]
        self._losses += [loss for _, loss in history]
        self._asked += len(history)

    def _best(self) -> torch.Tensor:
        x, y = torch.tensor(self._points), -torch.tensor(self._losses).unsqueeze(-1)
        waiting = self._pending.all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SingleTaskGP(x, y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            acquisition = qLogNoisyExpectedImprovement(
                model, X_baseline=x, X_pending=torch.tensor(waiting) if waiting else None, prune_baseline=True
            )
            bounds = torch.stack([torch.zeros(self._width), torch.ones(self._width)])
            found, _ = optimize_acqf(acquisition, bounds=bounds, q=1, num_restarts=10, raw_samples=512)
        best: torch.Tensor = found[0]
        return best

    def _params(self, unit: Point) -> Params:
        params: dict[str, Value] = {}
        place = 0
        for name, item in self._space.items():
            width = _width(item)
            params[name] = _value(item, unit[place : place + width])
            place += width
        return active_part(self._space, params)

    def _point(self, params: Params) -> Point:
        point: Point = []
        for name, item in self._space.items():
            point += _units(item, params[name]) if name in params else [0.5] * _width(item)
        return point


def _width(item: Mapping[str, Any]) -> int:
    return len(item["values"]) if item["type"] == "categorical" else 1


def _ends(item: Mapping[str, Any]) -> tuple[float, float]:
    low, high = (item["min"] - 0.5, item["max"] + 0.5) if item["type"] == "int" else (item["min"], item["max"])
    return (math.log(low), math.log(high)) if item["scale"] == "log" else (low, high)


def _value(item: Mapping[str, Any], units: Point) -> Value:
    if item["type"] == "categorical":
        chosen: Value = item["values"][units.index(max(units))]
        return chosen
    low, high = _ends(item)
    place = low + (high - low) * units[0]
    bounded = min(item["max"], max(item["min"], math.exp(place) if item["scale"] == "log" else place))
    return round(bounded) if item["type"] == "int" else float(bounded)


def _units(item: Mapping[str, Any], value: Value) -> Point:
    if item["type"] == "categorical":
        return [float(value == other) for other in item["values"]]
    low, high = _ends(item)
    place = math.log(float(value)) if item["scale"] == "log" else float(value)
    return [(place - low) / (high - low)]


SEARCHER = BotorchNei
