"""Learning-rate policies: the rate of an iteration, from the solver's fields."""

import math
from typing import Any

from tuning_service.caffe.checks import CheckFailed

POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")


def learning_rate(solver: Any, iteration: int) -> float:
    """The rate of `iteration`, which counts from 0, before any `lr_mult`.

    Raises:
        CheckFailed: an unknown policy, or `step` without `stepsize`.
    """
    base = float(solver.base_lr)
    match solver.lr_policy:
        case "fixed":
            return base
        case "step":
            if solver.stepsize <= 0:
                raise CheckFailed('lr_policy "step" needs a stepsize above 0')
            return base * _power(solver.gamma, iteration // solver.stepsize)
        case "exp":
            return base * _power(solver.gamma, iteration)
        case "inv":
            return base * _power(1.0 + solver.gamma * iteration, -solver.power)
        case "multistep":
            return base * _power(solver.gamma, sum(iteration >= value for value in solver.stepvalue))
        case "poly":
            return base * _power(1.0 - iteration / solver.max_iter, solver.power)
        case "sigmoid":
            return base / (1.0 + _exp(-solver.gamma * (iteration - solver.stepsize)))
        case other:
            raise CheckFailed(f'lr_policy is "{other}"; known are {", ".join(POLICIES)}')


def _power(base: float, exponent: float) -> float:
    """As C's pow: infinite or nan where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
