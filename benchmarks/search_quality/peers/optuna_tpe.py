"""Optuna's TPE sampler with its defaults, define-by-run: a parameter is asked for only where it is active."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from benchmarks.search_quality.searcher import Params, Pending, Searcher, Setup, SpaceDict

Distribution = optuna.distributions.BaseDistribution


class OptunaSearcher(Searcher):
    """A study in memory. Optuna knows the trials that are running by itself."""

    def __init__(self, setup: Setup) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = setup.space
        self._study = optuna.create_study(sampler=self.sampler(setup.seed))
        self._pending: Pending[optuna.trial.Trial] = Pending()

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """The sampler under test, its defaults but for the seed."""
        return optuna.samplers.TPESampler(seed=seed)

    def ask(self) -> Params:
        """A running trial of the study."""
        trial = self._study.ask()
        params: Params = {}
        for name, parameter in self._space.items():
            if _is_active(parameter, params):
                params[name] = _suggest(trial, name, parameter)
        self._pending.put(params, trial)
        return params

    def tell(self, params: Params, loss: float) -> None:
        """The trial is complete."""
        self._study.tell(self._pending.take(params), loss)

    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """Finished trials, added to the study at once."""
        distributions = _distributions(self._space)
        self._study.add_trials(
            [
                optuna.trial.create_trial(
                    params=dict(params), distributions={name: distributions[name] for name in params}, value=loss
                )
                for params, loss in history
            ]
        )


def _is_active(parameter: Mapping[str, Any], params: Params) -> bool:
    when = parameter.get("when") or {}
    return all(parent in params and params[parent] in allowed for parent, allowed in when.items())


def _suggest(trial: optuna.trial.Trial, name: str, parameter: Mapping[str, Any]) -> Any:
    if parameter["type"] == "categorical":
        return trial.suggest_categorical(name, parameter["values"])
    suggest = trial.suggest_int if parameter["type"] == "int" else trial.suggest_float
    return suggest(name, parameter["min"], parameter["max"], log=parameter["scale"] == "log")


def _distributions(space: SpaceDict) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for name, parameter in space.items():
        if parameter["type"] == "categorical":
            found[name] = optuna.distributions.CategoricalDistribution(parameter["values"])
            continue
        is_int = parameter["type"] == "int"
        kind = optuna.distributions.IntDistribution if is_int else optuna.distributions.FloatDistribution
        found[name] = kind(parameter["min"], parameter["max"], log=parameter["scale"] == "log")
    return found


SEARCHER = OptunaSearcher
