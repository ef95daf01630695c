"""One modelled quantity: its hyper-parameters, fitted now and then, and the process conditioned on what is known."""

from collections.abc import Callable
from math import log, sqrt

import numpy as np

from tuning_service.search.gp.cube import Cube, Matrix
from tuning_service.search.gp.model import Kernel, Layout, Priors, Process, fit, prior_mean

_FIT_STEPS = 60
# Logarithms of the length scales that are expected of categories, whose distance is 1, and between jobs.
_CATEGORY_LENGTH = log(0.5)
_JOB_LENGTH = log(2.0)
# Logarithm of a noise that is a third of all variance. The likelihood often has two peaks: a rough function without
# noise and a smooth one with much.
_MUCH_NOISE = -1.0


def fitted_length(known: int) -> int:
    """How many of the `known` first points the hyper-parameters are fitted to: a function of that number alone.

    All of them while they are few, then in growing steps: a process that was asked in between and one that was not
    have the same hyper-parameters.
    """
    step = 1
    while known >= 40 * step:
        step *= 2
    return known - known % step


def priors_for(cube: Cube, jobs: int) -> Priors:
    """Length scales of numbers grow with the root of the dimension: Hvarfner et al., "Vanilla Bayesian Optimization
    Performs Great in High Dimensions", 2024.

    Those of categories do not: what is good with one value may say little about another, and a value that looked bad
    in its first trial must stay worth a second.
    """
    numeric = log(0.5 * sqrt(max(1, len(cube.searched))))
    lengths = np.where(cube.categories[cube.searched], _CATEGORY_LENGTH, numeric)
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
        self._priors = priors_for(cube, jobs)
        self._fitted: tuple[int, Matrix] = (-1, prior_mean(self._layout, self._priors))

    def fit(self, key: int, data: Callable[[], tuple[Matrix, Matrix]]) -> None:
        """Fit hyper-parameters to `data()`, features (n, columns) and targets (n,), unless done under this key."""
        if self._fitted[0] == key:
            return
        start = prior_mean(self._layout, self._priors)
        features, targets = data()
        if len(targets) > 1:
            noisy = start.copy()
            noisy[self._layout.noise] = _MUCH_NOISE
            starts = np.stack([start, noisy])
            start = fit(self._layout, self._priors, features, targets, starts, most=_FIT_STEPS)
        self._fitted = key, start

    def condition(self, features: Matrix, targets: Matrix, *, doubting: bool = False) -> Process:
        """The process that knows these targets, `doubting` with the hyper-parameters that the priors expect."""
        theta = prior_mean(self._layout, self._priors) if doubting else self._fitted[1]
        return Process(Kernel(self._layout, theta), features, targets)
