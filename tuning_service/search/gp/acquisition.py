"""What makes a point promising."""

import numpy as np
from scipy.special import erfcx, log_ndtr

from tuning_service.search.gp.cube import Matrix
from tuning_service.search.ranking import front as front_rows

Prediction = tuple[Matrix, Matrix]  # mean and variance of each point

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)


def log_improvement(mean: Matrix, variance: Matrix, best: float) -> Matrix:
    """Logarithm of the expected improvement below `best`, precise where that vanishes.

    Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", 2023.
    """
    deviation = np.sqrt(variance)
    z = (best - mean) / deviation
    out = np.empty_like(z)
    near = z > -1.0
    zn = z[near]
    out[near] = np.log(np.exp(-0.5 * zn**2 - _LOG_ROOT_2PI) + zn * np.exp(log_ndtr(zn)))
    zf = z[~near]
    ratio = np.sqrt(np.pi / 2) * erfcx(-zf / np.sqrt(2)) * -zf
    # 1 - ratio loses all digits far out, where it tends to 1 / z^2.
    rest = np.where(zf > -1e3, np.log(np.maximum(1.0 - ratio, 1e-300)), -2.0 * np.log(np.abs(zf)))
    out[~near] = -0.5 * zf**2 - _LOG_ROOT_2PI + rest
    return out + np.log(deviation)


def log_below(mean: Matrix, variance: Matrix, limit: float) -> Matrix:
    """Logarithm of the probability of being at most `limit`."""
    return np.asarray(log_ndtr((limit - mean) / np.sqrt(variance)))


def log_scalarised_improvement(predicted: list[Prediction], weights: Matrix, best: float, draws: Matrix) -> Matrix:
    """Logarithm of the expected improvement below `best` of `scalarised`, with `draws` (s, k) from a normal.

    Zhang and Golovin, "Random Hypervolume Scalarizations for Provable Multi-Objective Black Box Optimization", 2020.
    """
    samples = np.stack(
        [mean[:, None] + np.sqrt(variance)[:, None] * draws[:, k] for k, (mean, variance) in enumerate(predicted)],
        axis=2,
    )
    gain = best - scalarised(samples, weights)
    # Smooth, so that the search sees which way to go where no draw improves.
    soft = 0.05
    return np.asarray(np.log(np.mean(soft * np.logaddexp(0.0, gain / soft), axis=1) + 1e-300))


def scalarised(values: Matrix, weights: Matrix) -> Matrix:
    """The largest of the weighted distances from the reference point, which is 0: over the last axis of `values`."""
    return np.asarray((values * weights).max(axis=-1))


def log_hypervolume_improvement(predicted: list[Prediction], front: Matrix) -> Matrix:
    """Logarithm of the expected gain in the area that a front (f, 2) dominates below the reference point, which is 0.

    A sum over the front's steps of products, since the two objectives are predicted independently: Emmerich, Deutz and
    Klinkenberg, "Hypervolume-based Expected Improvement: Monotonicity Properties and Exact Computation", 2011.
    """
    front = front[(front < 0).all(axis=1)]  # what is expected of a pending point may lie beyond the reference point
    order = np.argsort(front[:, 0], kind="stable")
    right = np.append(front[order, 0], 0.0)
    top = np.insert(front[order, 1], 0, 0.0)
    (first, spread), (second, height) = predicted
    below_right = np.stack([log_improvement(first, spread, edge) for edge in right])
    below_top = np.stack([log_improvement(second, height, edge) for edge in top])
    # The part of the gain below an edge that is not below the edge to its left too.
    share = np.minimum(below_right[:-1] - below_right[1:], -1e-12)
    widths = below_right.copy()
    widths[1:] += np.log(-np.expm1(share))
    return np.asarray(np.logaddexp.reduce(widths + below_top, axis=0))


def pareto_front(values: Matrix) -> Matrix:
    """The rows of `values` (n, k) that no other row is better than in everything, each once, (f, k)."""
    return np.asarray(np.unique(values[front_rows(values)], axis=0))
