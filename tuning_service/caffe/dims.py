"""Arithmetic on shapes of which some dimensions, or all that there is, may be unknown."""

import math
from collections.abc import Iterable, Sequence

Dim = int | None
Shape = tuple[Dim, ...] | None  # None: not even the number of dimensions is known


def count(dims: Iterable[Dim]) -> Dim:
    """The product; None when a factor is unknown."""
    dims = tuple(dims)
    known = [dim for dim in dims if dim is not None]
    return math.prod(known) if len(known) == len(dims) else None


def axis_of(axis: int, rank: int, *, end: bool = False) -> int:
    """`axis` counted from the front; `end` allows the place after the last. Raises ValueError out of range."""
    places = rank + end
    if not -places <= axis < places:
        raise ValueError(f"axis {axis} is out of range for a bottom of {rank} dimensions")
    return axis % places


def merge(shapes: Sequence[Shape]) -> Shape:
    """What is known of one shape from several accounts of it. Raises ValueError when they differ."""
    known = [shape for shape in shapes if shape is not None]
    if not known:
        return None
    for shape in known[1:]:
        pairs = zip(known[0], shape, strict=False)
        if len(shape) != len(known[0]) or any(a != b for a, b in pairs if a is not None and b is not None):
            raise ValueError(f"its bottoms differ in shape: {', '.join(map(show, known))}")
    return tuple(next((dim for dim in dims if dim is not None), None) for dims in zip(*known, strict=True))


def differ(first: Dim, second: Dim) -> bool:
    """True when both are known and not the same."""
    return first is not None and second is not None and first != second


def show(shape: Shape) -> str:
    """As people write shapes."""
    return "?" if shape is None else " x ".join("?" if dim is None else str(dim) for dim in shape) or "1 number"
