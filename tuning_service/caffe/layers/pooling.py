"""Pooling as Caffe defines it: rounded up, so that last windows may hang over the end of the input."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tuning_service.caffe.checks import CheckFailed
from tuning_service.caffe.layers.base import Layer, Setting, layer
from tuning_service.caffe.messages import choice
from tuning_service.caffe.windows import pooling_window

_LOWEST = torch.finfo(torch.float32).min


class Axis(NamedTuple):
    """One spatial axis of a pooling."""

    size: int
    windows: int
    kernel: int
    stride: int
    pad: int

    @property
    def over(self) -> int:
        """How far the last window reaches over the padded input; below zero, that much is in no window."""
        return (self.windows - 1) * self.stride + self.kernel - self.size - 2 * self.pad

    def gives(self, *, ceil: bool) -> bool:
        """Whether torch makes the same windows with that ceil_mode: it pads by half a kernel at most."""
        room = self.size + 2 * self.pad - self.kernel
        made = (-(-room // self.stride) if ceil else room // self.stride) + 1
        if ceil and (made - 1) * self.stride >= self.size + self.pad:
            made -= 1
        return room >= 0 and made == self.windows and 2 * self.pad <= self.kernel

    def areas(self) -> Tensor:
        """The length of each window, with padding, cut at the end of the padded input; 0 when it begins there."""
        starts = torch.arange(self.windows) * self.stride
        return ((starts + self.kernel).clamp(max=self.size + 2 * self.pad) - starts).clamp(min=0).float()


@layer("Pooling")
class Pooling(Layer):
    """MAX leaves padding out. AVE divides by the window's area, padding counted, cut at the padded input's end.

    Where stride is above kernel, a last window may begin behind the input: Caffe keeps it. Its MAX is the lowest float,
    its AVE here 0 (Caffe divides by zero).
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.pooling_param
        self.kind = choice(message, "pool")
        if self.kind not in {"MAX", "AVE"}:
            raise CheckFailed(f'layer "{setting.name}": pooling {self.kind} cannot be trained here')
        sizes, windows = setting.bottoms[0][2:], setting.tops[0][2:]
        window = pooling_window(message, *sizes)
        self.kernel, self.stride, self.pad = tuple(k or 1 for k in window.kernel), window.stride, window.pad
        self.axes = tuple(
            Axis(*given) for given in zip(sizes, windows, self.kernel, self.stride, self.pad, strict=True)
        )
        self.ceil = not all(axis.gives(ceil=False) for axis in self.axes)
        self.native = all(axis.gives(ceil=self.ceil) for axis in self.axes)
        high, wide = self.axes
        # For functional.pad: left, right, top, bottom.
        self.sides = [wide.pad, wide.pad + max(0, wide.over), high.pad, high.pad + max(0, high.over)]
        if self.kind == "AVE" and not self.native:
            areas = high.areas()[:, None] * wide.areas()[None, :]
            share = torch.where(areas > 0, 1 / areas.clamp(min=1), torch.zeros(()))
            self.register_buffer("share", share, persistent=False)

    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0]
        if self.kind == "MAX":
            if self.native:
                return functional.max_pool2d(x, self.kernel, self.stride, self.pad, ceil_mode=self.ceil)
            return functional.max_pool2d(functional.pad(x, self.sides, value=_LOWEST), self.kernel, self.stride)
        if self.native:
            return functional.avg_pool2d(x, self.kernel, self.stride, self.pad, ceil_mode=self.ceil)
        sums = functional.avg_pool2d(functional.pad(x, self.sides), self.kernel, self.stride, divisor_override=1)
        return sums * self.get_buffer("share")
