"""What makes a point promising."""

import numpy as np
from scipy.special import erfcx, log_ndtr

from tuning_service.search.gp.cube import Matrix

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


def log_scalarised_improvement(
    means: list[Matrix], variances: list[Matrix], weights: Matrix, best: float, draws: Matrix
) -> Matrix:
    """Logarithm of the expected improvement below `best` of the weighted Chebyshev distance, by `draws` (s, k).

    Knowles, "ParEGO", 2006; with a process for each objective, as in Daulton et al. (qNParEGO), 2020.
    """
    samples = np.stack(
        [m[:, None] + np.sqrt(v)[:, None] * draws[:, k] for k, (m, v) in enumerate(zip(means, variances, strict=True))],
        axis=2,
    )
    gain = best - chebyshev(samples, weights)
    # Smooth, so that the search sees which way to go where no draw improves.
    soft = 0.05
    return np.asarray(np.log(np.mean(soft * np.logaddexp(0.0, gain / soft), axis=1) + 1e-300))


def chebyshev(values: Matrix, weights: Matrix) -> Matrix:
    """Augmented Chebyshev distance from the ideal point, which is 0: over the last axis of `values`."""
    weighted = values * weights
    return np.asarray(weighted.max(axis=-1) + 0.05 * weighted.sum(axis=-1))
