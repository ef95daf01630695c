"""How blobs are first filled, as Caffe's fillers do it. Drawn on the CPU, so that a seed gives the same everywhere."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.messages import choice

Shape = Sequence[int]


def fill(filler: Any, shape: Shape, generator: Generator) -> Tensor:
    """A new float tensor of `shape`, drawn as a FillerParameter says.

    Raises:
        CheckFailed: an unknown type of filler, or one that cannot fill such a shape.
    """
    kind = filler.type or "constant"
    found = _FILLERS.get(kind)
    if found is None:
        raise CheckFailed(f'filler type is "{kind}"; known are {", ".join(_FILLERS)}')
    return found(filler, tuple(shape), generator)


def _constant(filler: Any, shape: Shape, _generator: Generator) -> Tensor:
    return torch.full(tuple(shape), float(filler.value))


def _between(low: float, high: float, shape: Shape, generator: Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator) * (high - low) + low


def _uniform(filler: Any, shape: Shape, generator: Generator) -> Tensor:
    return _between(filler.min, filler.max, shape, generator)


def _gaussian(filler: Any, shape: Shape, generator: Generator) -> Tensor:
    drawn: Tensor = torch.randn(tuple(shape), generator=generator) * filler.std + filler.mean
    if filler.sparse >= 0:
        # So many inputs of each output are kept, on average.
        kept = torch.rand(tuple(shape), generator=generator) < filler.sparse / shape[0]
        drawn *= kept
    return drawn


def _positive_unitball(_filler: Any, shape: Shape, generator: Generator) -> Tensor:
    drawn = torch.rand(tuple(shape), generator=generator)
    rows = drawn.view(shape[0], -1)
    rows /= rows.sum(1, keepdim=True)
    return drawn


def fan(filler: Any, shape: Shape) -> float:
    """What `variance_norm` divides the variance by: values per output (the default), per input, or their mean."""
    count = math.prod(shape)
    fan_in = count / shape[0]
    fan_out = count / shape[1] if len(shape) > 1 else count
    match choice(filler, "variance_norm"):
        case "FAN_OUT":
            return fan_out
        case "AVERAGE":
            return (fan_in + fan_out) / 2
        case _:
            return fan_in


def _xavier(filler: Any, shape: Shape, generator: Generator) -> Tensor:
    reach = math.sqrt(3 / fan(filler, shape))
    return _between(-reach, reach, shape, generator)


def _msra(filler: Any, shape: Shape, generator: Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=generator) * math.sqrt(2 / fan(filler, shape))


def _bilinear(_filler: Any, shape: Shape, _generator: Generator) -> Tensor:
    check(len(shape) == 4 and shape[2] == shape[3], f"a bilinear filler needs square kernels, not the shape {shape}")
    side = shape[3]
    half = math.ceil(side / 2)
    centre = (side - 1) / (2 * half)
    line = 1 - (torch.arange(side) / half - centre).abs()
    return (line[:, None] * line[None, :]).expand(*shape).clone()


_FILLERS: dict[str, Callable[[Any, Shape, Generator], Tensor]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _positive_unitball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
}
