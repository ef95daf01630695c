"""Optuna's samplers behind `HPTAlgorithm`: an in-memory study is told what has ended and asked for what is next.

A sampler draws from a generator of its own, whose state says how often it was asked. Suggestions have to be a function
of seed and history alone, so the study is made afresh for each question, from all trials in the order of their ends; a
sampler seeded with the number of the trial to come is put to it. Telling Optuna 1,000 trials takes some 50 ms.
"""

from collections.abc import Sequence
from typing import Any

import optuna

from tuning_service.domain.parameters import FloatParameter, IntParameter, OrdinalParameter, Parameter, ParamValue
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, PendingTrial

optuna.logging.set_verbosity(optuna.logging.ERROR)


class OptunaSampler(HPTAlgorithm):
    """Failed trials are told as failed; running ones as running, which tpe keeps away from."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._history: list[Observation] = []

    def _observe(self, observations: Sequence[Observation]) -> None:
        # Earlier jobs' losses may be on another scale, which a study has no way to tell.
        self._history += [o for o in observations if not o.job]

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        study = self._study(first)
        for trial in pending:
            study.add_trial(self._frozen(trial.params, optuna.trial.TrialState.RUNNING))
        # Each is asked while the ones before it are running.
        return [Suggestion(params=self._asked(study)) for _ in range(count)]

    def _study(self, number: int) -> optuna.Study:
        """All that has ended, with a sampler for the trial of that number."""
        study = optuna.create_study(
            directions=["minimize"] * len(self.objectives), sampler=self._sampler(int(self.rng(number).integers(2**32)))
        )
        for o in self._history:
            if o.losses is None:
                study.add_trial(self._frozen(o.params, optuna.trial.TrialState.FAIL))
            else:
                study.add_trial(self._frozen(o.params, optuna.trial.TrialState.COMPLETE, o.losses))
        return study

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        match self.options.sampler:
            case "nsgaii":
                return optuna.samplers.NSGAIISampler(seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "qmc":
                return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self.options.startup_trials, constant_liar=True, group=True, multivariate=True
        )

    def _frozen(
        self, params: Any, state: optuna.trial.TrialState, losses: Sequence[float] | None = None
    ) -> optuna.trial.FrozenTrial:
        known = {p.name: p for p in self.space}
        return optuna.trial.create_trial(
            state=state,
            values=None if losses is None else list(losses),
            params={name: _outward(known[name], value) for name, value in params.items()},
            distributions={name: _distribution(known[name]) for name in params},
        )

    def _asked(self, study: optuna.Study) -> dict[str, ParamValue]:
        """The parameters are asked parents first, and only those that are active: Optuna's way with conditions."""
        trial = study.ask()
        params: dict[str, ParamValue] = {}
        for parameter in self.space.topological:
            if self.space.is_active(parameter, params):
                params[parameter.name] = _inward(parameter, _suggested(trial, parameter))
        return params


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    """Of the values themselves for plain ranges, else of their places in the list of values."""
    if isinstance(parameter, FloatParameter) and parameter.size is None:
        return optuna.distributions.FloatDistribution(parameter.min, parameter.max, log=parameter.scale == "log")
    if isinstance(parameter, IntParameter) and parameter.scale == "log":
        return optuna.distributions.IntDistribution(parameter.min, parameter.max, log=True)
    size = parameter.size or 1
    if isinstance(parameter, (FloatParameter, IntParameter, OrdinalParameter)):
        return optuna.distributions.IntDistribution(0, size - 1)
    return optuna.distributions.CategoricalDistribution(range(size))


def _is_plain(parameter: Parameter) -> bool:
    return isinstance(parameter, (FloatParameter, IntParameter)) and (
        parameter.size is None or parameter.scale == "log"
    )


def _outward(parameter: Parameter, value: ParamValue) -> ParamValue:
    return value if _is_plain(parameter) else parameter.index_of(value)


def _inward(parameter: Parameter, value: Any) -> ParamValue:
    return value if _is_plain(parameter) else parameter.value_at(value)


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    match _distribution(parameter):
        case optuna.distributions.FloatDistribution() as d:
            return trial.suggest_float(parameter.name, d.low, d.high, log=d.log)
        case optuna.distributions.IntDistribution() as d:
            return trial.suggest_int(parameter.name, d.low, d.high, log=d.log)
        case optuna.distributions.CategoricalDistribution() as d:
            return trial.suggest_categorical(parameter.name, d.choices)
    raise TypeError(parameter)
