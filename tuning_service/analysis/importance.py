"""How much each parameter matters, by optuna's evaluators."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuning_service.analysis.axes import CATEGORICAL, ChartAxis, axes_of
from tuning_service.analysis.numbers import Places, Vector, amount, rounded, sentences, spread
from tuning_service.analysis.table import TrialTable

Method = Literal["ped-anova", "fanova"]
# PED-ANOVA takes a third of a second for so many, nearly all of it the building of optuna's trials.
_MOST_TRIALS = 1000
# fANOVA is plain Python inside: seconds already for these.
_MOST_FANOVA, _FANOVA_TREES = 200, 16
_FEW = 20


@dataclass(frozen=True)
class _Sample:
    """What is given to an evaluator: places (n, parameters), NaN where inactive, and losses (n,)."""

    axes: list[ChartAxis]
    places: Vector
    losses: Vector


def importance(table: TrialTable, method: Method, metric: str | None) -> dict[str, Any]:
    """Importances, most important first; they sum to 1, or are all 0 where nothing can be told."""
    objective = table.objective(metric)
    chosen = _sampled(table, objective, _MOST_FANOVA if method == "fanova" else _MOST_TRIALS)
    params = table.params(chosen)
    axes = axes_of(table.spec.space)
    places = np.array([axis.places(params) for axis in axes], dtype=float).reshape(len(axes), len(chosen)).T
    varied = [i for i in range(len(axes)) if len(np.unique(places[~np.isnan(places[:, i]), i])) > 1]
    left_out = [p.name for p in table.spec.space if p.name not in {axes[i].name for i in varied}]
    losses = table.losses[chosen, objective]
    found: dict[str, float] = {}
    if len(chosen) >= 4 and varied and losses.max() > losses.min():
        # Scaled, so that no square of the widest values overflows.
        sample = _Sample([axes[i] for i in varied], places[:, varied], losses / np.abs(losses).max())
        found = _normalised(_fanova(sample) if method == "fanova" else _ped_anova(sample))
    names = sorted(found, key=lambda name: (-found[name], name))
    completed = int(table.completed.sum())
    gaps = bool(varied) and bool(np.isnan(places[:, varied]).any())
    return {
        "method": method,
        "objective": table.spec.objectives[objective].metric,
        "trials": len(chosen),
        "columns": {"parameter": names, "importance": rounded([found[n] for n in names], 6).tolist()},
        "left_out": left_out,
        "warning": _warning(len(chosen), len(axes)) if completed else "",
        "note": sentences(
            table.nothing(),
            _unknown(table, chosen, losses, varied) if completed and not found else "",
            f"{amount(len(chosen))} of {amount(completed)} completed trials were used, evenly from best to worst."
            if len(chosen) < completed
            else "",
            "In trials in which a parameter is inactive it counts as at the middle of its range,"
            " or for categories as a value of its own."
            if gaps and method == "fanova" and found
            else "",
            f"Left out, since they have one value in all trials: {', '.join(left_out)}." if left_out and found else "",
        ),
    }


def _sampled(table: TrialTable, objective: int, most: int) -> Places:
    """Completed trials by number; of too many, evenly by rank, so that the same trials always give the same answer."""
    completed = np.flatnonzero(table.completed)
    if len(completed) <= most:
        return completed
    order = completed[np.argsort(table.losses[completed, objective], kind="stable")]
    return np.sort(order[spread(len(order), most)])


def _warning(used: int, parameters: int) -> str:
    wanted = max(_FEW, 4 * parameters)
    if used >= wanted:
        return ""
    return f"{used} completed trials are few for {parameters} parameters: with fewer than {wanted} this may be chance."


def _unknown(table: TrialTable, chosen: Places, losses: Vector, varied: list[int]) -> str:
    if len(chosen) < 4:
        return "Fewer than four trials have completed: nothing can be told yet."
    if not varied:
        return "No parameter has more than one value in the trials."
    if losses.max() == losses.min():
        return f"All trials have the same {table.spec.objective.metric}: no parameter makes a difference."
    return "No parameter makes a difference that could be told."


def _normalised(found: dict[str, float]) -> dict[str, float]:
    total = sum(max(0.0, v) for v in found.values() if np.isfinite(v))
    if total <= 0:
        return {}
    return {name: max(0.0, v) / total if np.isfinite(v) else 0.0 for name, v in found.items()}


def _study(sample: _Sample, *, filled: bool) -> Any:
    """The trials as a study of optuna's, in coordinates from 0 to 1. `filled`: each trial has each parameter."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {}
    columns: list[NDArray[Any]] = []
    for place, axis in enumerate(sample.axes):
        values = sample.places[:, place]
        if axis.kind == CATEGORICAL and not axis.ordered:
            levels = len(axis.levels)
            if filled and np.isnan(values).any():
                values, levels = np.where(np.isnan(values), levels, values), levels + 1
            distributions[axis.name] = CategoricalDistribution(list(range(levels)))
        else:
            values = np.clip(axis.unit(values), 0.0, 1.0)
            values = np.where(np.isnan(values), 0.5, values) if filled else values
            distributions[axis.name] = FloatDistribution(0.0, 1.0)
        columns.append(values)
    study = optuna.create_study()
    trials = []
    for row, loss in zip(np.array(columns).T.tolist(), sample.losses.tolist(), strict=True):
        known = {
            axis.name: int(v) if isinstance(distributions[axis.name], CategoricalDistribution) else v
            for axis, v in zip(sample.axes, row, strict=True)
            if not np.isnan(v)
        }
        used = {name: distributions[name] for name in known}
        trials.append(optuna.trial.create_trial(params=known, distributions=used, value=loss))
    study.add_trials(trials)
    return study


def _ped_anova(sample: _Sample) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is young
        return dict(PedAnovaImportanceEvaluator().evaluate(_study(sample, filled=False)))


def _fanova(sample: _Sample) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = FanovaImportanceEvaluator(n_trees=_FANOVA_TREES, seed=0)
        return {name: float(v) for name, v in evaluator.evaluate(_study(sample, filled=True)).items()}
