"""SMAC3's hyper-parameter optimisation facade (random forest) with its defaults, asked and told."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Float, InCondition, Integer
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue

from benchmarks.search_quality.searcher import Params, Pending, Searcher, Setup, SpaceDict, Value


class SmacHpo(Searcher):
    """Conditions are ConfigSpace's own. Pending trials stand in its run history as running."""

    def __init__(self, setup: Setup) -> None:
        logging.disable(logging.WARNING)
        self._space = setup.space
        self._configurations = _space(setup)
        self._folder = tempfile.TemporaryDirectory(prefix="smac-")
        # It plans its initial design as a share of n_trials.
        scenario = Scenario(
            self._configurations,
            deterministic=True,
            n_trials=setup.evaluations,
            seed=setup.seed,
            output_directory=self._folder.name,
        )
        self._smac = HyperparameterOptimizationFacade(scenario, _unused, overwrite=True, logging_level=False)
        self._pending: Pending[TrialInfo] = Pending()

    def ask(self) -> Params:
        """Its next trial."""
        info = self._smac.ask()
        params = {name: _scalar(item, info.config[name]) for name, item in self._space.items() if name in info.config}
        self._pending.put(params, info)
        return params

    def tell(self, params: Params, loss: float) -> None:
        """Saved by SMAC at its end only: the files are thrown away."""
        self._smac.tell(self._pending.take(params), TrialValue(cost=loss), save=False)

    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """Told one by one, as its manual does it."""
        for params, loss in history:
            info = TrialInfo(Configuration(self._configurations, values=params), seed=0)
            self._smac.tell(info, TrialValue(cost=loss), save=False)


def _unused(_: Configuration, seed: int = 0) -> float:
    raise AssertionError(f"asked and told, not called (seed {seed})")


def _space(setup: Setup) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=setup.seed)
    space.add(*[_hyperparameter(name, item) for name, item in setup.space.items()])
    space.add(*_conditions(space, setup.space))
    return space


def _conditions(space: ConfigurationSpace, items: SpaceDict) -> list[InCondition]:
    return [
        InCondition(space[name], space[parent], list(allowed))
        for name, item in items.items()
        for parent, allowed in (item.get("when") or {}).items()
    ]


def _hyperparameter(name: str, item: Mapping[str, Any]) -> Any:
    if item["type"] == "categorical":
        return Categorical(name, item["values"])
    kind = Integer if item["type"] == "int" else Float
    return kind(name, (item["min"], item["max"]), log=item["scale"] == "log")


def _scalar(item: Mapping[str, Any], value: Any) -> Value:
    if item["type"] == "categorical":
        return str(value)
    return int(value) if item["type"] == "int" else float(value)


SEARCHER = SmacHpo
