"""Numbers on their way into an answer."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Places = NDArray[np.intp]
Column = list[Any]


def rounded(values: Iterable[float], digits: int) -> Vector:
    """`values` to so many significant digits, which says as much on a screen and is a third of the bytes."""
    numbers = np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(numbers))))
        result = np.round(numbers * scale) / scale
    # Zero has no first digit, and the smallest doubles no scale.
    return np.where(np.isfinite(result) & np.isfinite(scale), result, numbers)


def column(values: Iterable[float]) -> Column:
    """As a list in which None stands where there is no number."""
    numbers = np.asarray(values, dtype=float)
    listed: Column = numbers.tolist()
    if not np.isfinite(numbers).all():
        return [None if math.isnan(v) else v if math.isfinite(v) else str(v) for v in listed]
    return listed


def reported(values: Iterable[float]) -> Column:
    """As a list of what was measured: "nan", "inf" and "-inf" stand for themselves."""
    numbers = np.asarray(values, dtype=float)
    listed: Column = numbers.tolist()
    return listed if np.isfinite(numbers).all() else [v if math.isfinite(v) else str(v) for v in listed]


def whole(values: Iterable[float]) -> Column:
    """Like `reported`, without ".0" where all are whole numbers, as steps are."""
    numbers = np.asarray(values, dtype=float)
    if np.isfinite(numbers).all() and (np.abs(numbers) < 2**53).all() and (numbers == np.round(numbers)).all():
        shown: Column = numbers.astype(np.int64).tolist()
        return shown
    return reported(numbers)


def spread(count: int, most: int) -> Places:
    """`most` places of `count`, or all, evenly: the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.intp))


def kept_and_spread(count: int, most: int, kept: Sequence[int] | Places) -> Places:
    """At most `most` places of `count`: the `kept` ones (the first of them, if there are more), the rest evenly."""
    if count <= most:
        return np.arange(count)
    chosen = np.unique(np.asarray(kept, dtype=np.intp)[:most])
    others = np.setdiff1d(np.arange(count), chosen)
    return np.sort(np.concatenate([chosen, others[spread(len(others), most - len(chosen))]]))


def coded(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The different texts in the order in which they come, and of each text its place among them."""
    places: dict[str, int] = {}
    codes = [places.setdefault(text, len(places)) for text in texts]
    return list(places), codes


def sentences(*notes: str) -> str:
    """Those that say something, as one text."""
    return " ".join(note for note in notes if note)


def amount(count: int) -> str:
    """10,000."""
    return f"{count:,}"
