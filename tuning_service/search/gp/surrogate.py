"""One modelled quantity: its hyper-parameters, fitted now and then, and the process conditioned on what is known."""

from collections.abc import Callable
from math import log, sqrt

import numpy as np

from tuning_service.search.gp.cube import Cube, Matrix
from tuning_service.search.gp.model import Kernel, Layout, Priors, Process, fit, prior_mean

_FIT_STEPS = 60
# Logarithm of the length scale that is expected between jobs, whose distance is 1.
_JOB_LENGTH = log(2.0)


def fitted_length(known: int) -> int:
    """How many of the `known` first points the hyper-parameters are fitted to: a function of that number alone.

    All of them while they are few, then in growing steps: a process that was asked in between and one that was not
    have the same hyper-parameters.
    """
    step = 1
    while known >= 40 * step:
        step *= 2
    return known - known % step


def priors_for(dimensions: int, jobs: int) -> Priors:
    """Length scales grow with the root of the dimension: Hvarfner et al., "Vanilla Bayesian Optimization Performs
    Great in High Dimensions", 2024. Categories, whose distance is 1, are no exception: shorter ones did worse.
    """
    lengths = np.full(dimensions, log(0.5 * sqrt(max(1, dimensions))))
    return Priors(lengths=np.append(lengths, _JOB_LENGTH) if jobs > 1 else lengths)


class Surrogate:
    """A Gaussian process for one objective, one metric constraint, or failure."""

    def __init__(self, cube: Cube, jobs: int) -> None:
        """`jobs`: how many jobs the points come from; with more than one, the job is one more category."""
        extra = jobs if jobs > 1 else 0
        self.jobs = jobs
        group = len(cube.searched)
        groups = np.concatenate([cube.groups, np.full(extra, group, dtype=np.int64)])
        self._layout = Layout(groups=groups, warped=np.concatenate([cube.is_numeric, np.zeros(extra, dtype=np.bool_)]))
        self._priors = priors_for(group, jobs)
        self._fitted: tuple[int, Matrix] = (-1, prior_mean(self._layout, self._priors))

    def fit(self, key: int, data: Callable[[], tuple[Matrix, Matrix]]) -> None:
        """Fit hyper-parameters to `data()`, features (n, columns) and targets (n,), unless done under this key."""
        if self._fitted[0] == key:
            return
        start = prior_mean(self._layout, self._priors)
        features, targets = data()
        if len(targets) > 1:
            start = fit(self._layout, self._priors, features, targets, start, most=_FIT_STEPS)
        self._fitted = key, start

    def condition(self, features: Matrix, targets: Matrix) -> Process:
        """The process that knows these targets."""
        return Process(Kernel(self._layout, self._fitted[1]), features, targets)
