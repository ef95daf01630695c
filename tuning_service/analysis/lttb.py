"""Largest triangle three buckets: which points of a line to draw, so that it looks the same.

S. Steinarsson, "Downsampling time series for visual representation", University of Iceland, 2013.
"""

import itertools

import numpy as np

from tuning_service.analysis.numbers import Places, Vector


def lttb(x: Vector, y: Vector, count: int) -> Places:
    """(m, count) places to keep of `m` lines (m, n) of finite numbers with rising `x`: the first, the last, and one of
    each of `count` - 2 equal buckets, whose triangle with the one kept before and the next bucket's mean is largest.

    2 <= count < n.
    """
    lines, length = x.shape
    # Scaled, so that no product of the widest values overflows; areas are compared within a line only.
    x, y = _scaled(x), _scaled(y)
    edges = 1 + np.arange(count - 1) * (length - 2) // max(1, count - 2)
    kept = np.zeros((lines, count), dtype=np.intp)
    kept[:, -1] = length - 1
    rows = np.arange(lines)
    last = kept[:, 0]
    # Of each bucket, and of the last point as one of its own: row by bucket, so that a loop takes one row at a time.
    sizes = np.diff(np.append(edges, length))
    mean_x, mean_y = (np.ascontiguousarray((np.add.reduceat(v, edges, axis=1) / sizes).T) for v in (x, y))
    for bucket, (begin, end) in enumerate(itertools.pairwise(edges.tolist())):
        last_x, last_y = x[rows, last][:, None], y[rows, last][:, None]
        next_x, next_y = mean_x[bucket + 1][:, None], mean_y[bucket + 1][:, None]
        area = (last_x - next_x) * (y[:, begin:end] - last_y) - (last_x - x[:, begin:end]) * (next_y - last_y)
        last = begin + np.abs(area).argmax(axis=1)
        kept[:, bucket + 1] = last
    return kept


def _scaled(numbers: Vector) -> Vector:
    low, high = numbers.min(axis=1, keepdims=True), numbers.max(axis=1, keepdims=True)
    width = high / 2 - low / 2
    return np.asarray((numbers / 2 - low / 2) / np.where(width > 0, width, 1.0))


def thinned(x: Vector, y: Vector, count: int) -> Places:
    """At most `count` places of one line (n,), rising. Where `y` is not finite the line has a gap, kept as one point.

    Of too many gaps the widest stay: a quarter of the points at most.
    """
    if len(x) <= count:
        return np.arange(len(x))
    finite = np.isfinite(y)
    gaps = _gaps(finite, max(1, count // 4))
    drawn = np.flatnonzero(finite)
    left = count - len(gaps)
    if len(drawn) > left:
        drawn = drawn[lttb(x[None, drawn], y[None, drawn], left)[0]] if left >= 2 else drawn[:left]
    return np.sort(np.concatenate([drawn, gaps]))


def _gaps(finite: "np.ndarray[tuple[int], np.dtype[np.bool_]]", most: int) -> Places:
    """The first place of each run of values that are not finite, of the widest runs."""
    starts = np.flatnonzero(~finite & np.concatenate([[True], finite[:-1]]))
    ends = np.flatnonzero(~finite & np.concatenate([finite[1:], [True]]))
    widest = np.argsort(-(ends - starts), kind="stable")[:most]
    return np.sort(starts[widest])
