"""A Gaussian process with warped inputs: Matérn 5/2 with a length scale per parameter, fitted by its derivatives.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2 and 5; input warping after Snoek et
al., "Input Warping for Bayesian Optimization of Non-Stationary Functions", 2014 (Kumaraswamy's distribution).
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

Matrix = NDArray[np.float64]
_ROOT5 = np.sqrt(5.0)
_EDGE = 1e-6
_JITTER = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """Normal distributions (mean, deviation) of the logarithms of the hyper-parameters."""

    lengths: Matrix  # means, one for each length scale
    length_deviation: float = 1.0
    noise: tuple[float, float] = (-6.0, 1.5)
    signal: tuple[float, float] = (0.0, 0.5)
    warp: tuple[float, float] = (0.0, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns of the features share a length scale, and which are warped."""

    groups: NDArray[np.int64]  # (columns,)
    warped: NDArray[np.bool_]  # (columns,)

    @property
    def lengths(self) -> int:
        """Number of length scales: none where there is one configuration only."""
        return int(self.groups.max(initial=-1)) + 1

    @property
    def size(self) -> int:
        """Number of hyper-parameters: log lengths, log noise, log signal, log a and log b of each warped column."""
        return self.lengths + 2 + 2 * int(self.warped.sum())


class Kernel:
    """The covariance of one set of hyper-parameters."""

    def __init__(self, layout: Layout, theta: Matrix) -> None:
        self.layout = layout
        self.theta = theta
        count = layout.lengths
        self.weights = np.exp(-2.0 * theta[:count])[layout.groups]  # of squared differences
        self.noise = float(np.exp(theta[count]))
        self.signal = float(np.exp(theta[count + 1]))
        self.a, self.b = np.exp(theta[count + 2 :]).reshape(2, -1)

    def warp(self, features: Matrix) -> Matrix:
        """1 - (1 - x^a)^b in the warped columns."""
        out = features.copy()
        x = np.clip(features[:, self.layout.warped], _EDGE, 1 - _EDGE)
        out[:, self.layout.warped] = 1 - (1 - x**self.a) ** self.b
        return out

    def scaled(self, features: Matrix) -> Matrix:
        """Coordinates whose plain distance is the kernel's."""
        return self.warp(features) * np.sqrt(self.weights)

    def between(self, left: Matrix, right: Matrix) -> Matrix:
        """Covariances of two sets of scaled coordinates."""
        return np.asarray(self.signal * _matern(_squared_distances(left, right))[0])


def _squared_distances(left: Matrix, right: Matrix) -> Matrix:
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2.0 * left @ right.T
    return np.asarray(np.maximum(squared, 0.0, out=squared))


def _matern(squared: Matrix) -> tuple[Matrix, Matrix]:
    """The correlation, and its derivative by the squared distance."""
    r = _ROOT5 * np.sqrt(squared)
    decay = np.exp(-r)
    return (1.0 + r + (5.0 / 3.0) * squared) * decay, (-5.0 / 6.0) * (1.0 + r) * decay


def _cholesky(matrix: Matrix) -> Matrix | None:
    factor, failed = lapack.dpotrf(matrix, lower=1, clean=1)
    return None if failed else factor


class Posterior:
    """Negative log posterior of the hyper-parameters, and its gradient."""

    def __init__(self, layout: Layout, priors: Priors, features: Matrix, targets: Matrix) -> None:
        self.layout, self.features, self.targets = layout, features, targets
        warps = 2 * int(layout.warped.sum())
        parts = [(priors.noise, 1), (priors.signal, 1), (priors.warp, warps)]
        self.mean = prior_mean(layout, priors)
        self.deviation = np.concatenate(
            [np.full(layout.lengths, priors.length_deviation), *(np.full(n, p[1]) for p, n in parts)]
        )
        x = np.clip(features[:, layout.warped], _EDGE, 1 - _EDGE)
        self.x, self.log_x = x, np.log(x)

    def __call__(self, theta: Matrix) -> tuple[float, Matrix]:
        layout, n = self.layout, len(self.targets)
        kernel = Kernel(layout, theta)
        power = np.exp(kernel.a * self.log_x)
        rest = 1.0 - power
        survival = np.exp(kernel.b * np.log(rest))
        warped = self.features.copy()
        warped[:, layout.warped] = 1.0 - survival
        scaled = warped * np.sqrt(kernel.weights)
        matern, slope = _matern(_squared_distances(scaled, scaled))
        covariance = kernel.signal * matern
        covariance.flat[:: n + 1] = kernel.signal + kernel.noise + _JITTER
        factor = _cholesky(covariance)
        z = (theta - self.mean) / self.deviation
        if factor is None:
            return 1e10, z / self.deviation
        inverse, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        alpha = inverse @ self.targets
        value = 0.5 * self.targets @ alpha + np.log(np.diag(factor)).sum() + 0.5 * z @ z
        outer = 0.5 * (inverse - np.outer(alpha, alpha))  # derivative by the covariance
        by_distance = outer * slope * kernel.signal
        sums = by_distance.sum(1)[:, None]
        product = by_distance @ warped
        gradient = np.empty(layout.size)
        count = layout.lengths
        by_column = 2.0 * ((warped * warped * sums).sum(0) - (warped * product).sum(0))
        gradient[:count] = np.bincount(layout.groups, weights=-2.0 * kernel.weights * by_column, minlength=count)
        gradient[count] = kernel.noise * np.trace(outer)
        gradient[count + 1] = (outer * matern).sum() * kernel.signal
        by_warped = 4.0 * kernel.weights[layout.warped] * (warped * sums - product)[:, layout.warped]
        by_a = by_warped * (kernel.b * survival / rest) * power * self.log_x * kernel.a
        by_b = by_warped * (-survival * np.log(rest)) * kernel.b
        gradient[count + 2 :] = np.concatenate([by_a.sum(0), by_b.sum(0)])
        return float(value), gradient + z / self.deviation


def fit(layout: Layout, priors: Priors, features: Matrix, targets: Matrix, start: Matrix, most: int = 60) -> Matrix:
    """The most probable hyper-parameters near `start`, in `most` steps.

    A second start with much noise finds higher posteriors now and then, and worse points: the rough explanation of few
    points is the one that keeps looking.
    """
    posterior = Posterior(layout, priors, features, targets)
    bounds = list(zip(posterior.mean - 4 * posterior.deviation, posterior.mean + 4 * posterior.deviation, strict=True))
    found = minimize(posterior, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": most})
    return np.asarray(found.x)


def prior_mean(layout: Layout, priors: Priors) -> Matrix:
    """The hyper-parameters that the priors expect."""
    warps = 2 * int(layout.warped.sum())
    return np.concatenate([priors.lengths, [priors.noise[0], priors.signal[0]], np.full(warps, priors.warp[0])])


class Process:
    """A kernel conditioned on points and their targets; and on pending points, whose targets are not known yet.

    A pending point counts as ended with just what the process expects of it ("kriging believer", Ginsbourger et al.
    2010): that leaves every mean as it is and takes the uncertainty around the point away.
    """

    def __init__(self, kernel: Kernel, features: Matrix, targets: Matrix) -> None:
        scaled = kernel.scaled(features)
        covariance = kernel.between(scaled, scaled)
        covariance.flat[:: len(targets) + 1] += kernel.noise + _JITTER
        inverse = _inverse_factor(covariance)
        self._kernel = kernel
        self._weights = inverse.T @ (inverse @ targets)  # of the ended points, which come first
        self._keep(scaled, inverse)

    def _keep(self, scaled: Matrix, inverse: Matrix) -> None:
        self._scaled, self._inverse = scaled, inverse

    @property
    def size(self) -> int:
        """Number of points, pending ones included."""
        return len(self._scaled)

    def believing(self, features: Matrix) -> "Process":
        """The same with these points pending."""
        fresh = self._kernel.scaled(features)
        cross = self._kernel.between(fresh, self._scaled) @ self._inverse.T
        covariance = self._kernel.between(fresh, fresh) - cross @ cross.T
        covariance.flat[:: len(fresh) + 1] += self._kernel.noise + _JITTER
        corner = _inverse_factor(covariance)
        known = self.size
        inverse = np.zeros((known + len(fresh), known + len(fresh)))
        inverse[:known, :known] = self._inverse
        inverse[known:, :known] = -corner @ (cross @ self._inverse)
        inverse[known:, known:] = corner
        other = copy(self)
        other._keep(np.vstack([self._scaled, fresh]), inverse)  # noqa: SLF001  # another of this class
        return other

    def mean(self, features: Matrix) -> Matrix:
        """Mean at each point."""
        ended = self._scaled[: len(self._weights)]
        return self._kernel.between(self._kernel.scaled(features), ended) @ self._weights

    def predict(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """Mean and variance of the noiseless function at each point."""
        cross = self._kernel.between(self._kernel.scaled(features), self._scaled)
        explained = ((cross @ self._inverse.T) ** 2).sum(1)
        mean = cross[:, : len(self._weights)] @ self._weights
        return mean, np.maximum(self._kernel.signal - explained, 1e-12)


def _inverse_factor(covariance: Matrix) -> Matrix:
    """Inverse of the lower Cholesky factor; of a matrix made a little larger when rounding left it indefinite."""
    more = 1e-6 * float(np.diag(covariance).mean()) + 1e-12
    while (factor := _cholesky(covariance)) is None:
        covariance = covariance + more * np.eye(len(covariance))
        more *= 10.0
    inverse, _ = lapack.dtrtri(factor, lower=1)
    return np.asarray(inverse)
