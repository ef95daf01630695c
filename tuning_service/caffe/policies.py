"""Learning-rate policies: the rate of an iteration, from the solver's fields."""

import math
from collections.abc import Callable
from typing import Any

from tuning_service.caffe.checks import CheckFailed, check


def learning_rate(solver: Any, iteration: int) -> float:
    """The rate of `iteration`, which counts from 0, before any `lr_mult`.

    Raises:
        CheckFailed: an unknown policy, or one without the fields that it needs.
    """
    factor = _FACTORS.get(solver.lr_policy)
    if factor is None:
        raise CheckFailed(f'lr_policy is "{solver.lr_policy}"; known are {", ".join(_FACTORS)}')
    return float(solver.base_lr) * factor(solver, iteration)


def _step(solver: Any, iteration: int) -> float:
    check(solver.stepsize > 0, 'lr_policy "step" needs a stepsize above 0')
    return _power(solver.gamma, iteration // solver.stepsize)


def _multistep(solver: Any, iteration: int) -> float:
    return _power(solver.gamma, sum(iteration >= value for value in solver.stepvalue))


def _sigmoid(solver: Any, iteration: int) -> float:
    # Beyond 700 the exponential is no number any more, and the rate has long been 0.
    return 1.0 / (1.0 + math.exp(min(700.0, -solver.gamma * (iteration - solver.stepsize))))


def _power(base: float, exponent: float) -> float:
    """As C's pow: infinite or nan where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


_FACTORS: dict[str, Callable[[Any, int], float]] = {
    "fixed": lambda _solver, _iteration: 1.0,
    "step": _step,
    "exp": lambda solver, iteration: _power(solver.gamma, iteration),
    "inv": lambda solver, iteration: _power(1.0 + solver.gamma * iteration, -solver.power),
    "multistep": _multistep,
    "poly": lambda solver, iteration: _power(1.0 - iteration / solver.max_iter, solver.power),
    "sigmoid": _sigmoid,
}
