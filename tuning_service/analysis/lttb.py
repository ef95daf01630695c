"""Largest triangle three buckets: which points of a line to draw, so that it looks the same.

S. Steinarsson, "Downsampling time series for visual representation", University of Iceland, 2013.
"""

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
    for bucket in range(count - 2):
        begin, end = edges[bucket], edges[bucket + 1]
        after = slice(end, edges[bucket + 2]) if bucket + 2 < count - 1 else slice(length - 1, length)
        next_x, next_y = x[:, after].mean(axis=1), y[:, after].mean(axis=1)
        last_x, last_y = x[rows, last], y[rows, last]
        area = np.abs(
            (last_x - next_x)[:, None] * (y[:, begin:end] - last_y[:, None])
            - (last_x[:, None] - x[:, begin:end]) * (next_y - last_y)[:, None]
        )
        last = begin + area.argmax(axis=1)
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
