"""Layers that move values about: Concat, Slice, Split, Eltwise, Flatten, Reshape, Silence."""

import math

import torch
from torch import Tensor

from tuning_service.caffe.dims import axis_of
from tuning_service.caffe.layers.base import Layer, Setting, Tops, layer
from tuning_service.caffe.messages import choice


@layer("Concat")
class Concat(Layer):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.concat_param
        axis = message.concat_dim if message.HasField("concat_dim") else message.axis
        self.axis = axis_of(axis, len(setting.bottoms[0]))

    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.cat(bottoms, self.axis) if len(bottoms) > 1 else bottoms[0]


@layer("Slice")
class Slice(Layer):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.slice_param
        axis = message.slice_dim if message.HasField("slice_dim") else message.axis
        self.axis = axis_of(axis, len(setting.bottoms[0]))
        self.sizes = [top[self.axis] for top in setting.tops]

    def forward(self, *bottoms: Tensor) -> Tops:
        parts = torch.split_with_sizes(bottoms[0], self.sizes, self.axis)
        return parts if len(parts) > 1 else parts[0]


@layer("Split")
class Split(Layer):
    def forward(self, *bottoms: Tensor) -> Tops:
        tops = len(self.setting.tops)
        return bottoms * tops if tops > 1 else bottoms[0]


@layer("Eltwise")
class Eltwise(Layer):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.eltwise_param
        self.kind = choice(message, "operation")
        self.factors = [float(c) for c in message.coeff] or [1.0] * len(setting.bottoms)

    def forward(self, *bottoms: Tensor) -> Tensor:
        first, *others = bottoms
        if self.kind == "SUM":
            top = first if self.factors[0] == 1 else first * self.factors[0]
            for x, factor in zip(others, self.factors[1:], strict=True):
                top = torch.add(top, x, alpha=factor)
            return top
        top = first
        for x in others:
            # Of equal values Caffe gives the gradient to the first alone.
            top = top * x if self.kind == "PROD" else torch.where(x > top, x, top)
        return top


@layer("Flatten")
class Flatten(Layer):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.flatten_param
        rank = len(setting.bottoms[0])
        self.start, self.end = axis_of(message.axis, rank), axis_of(message.end_axis, rank)

    def forward(self, *bottoms: Tensor) -> Tensor:
        return bottoms[0].flatten(self.start, self.end)


@layer("Reshape")
class Reshape(Layer):
    """0 keeps an axis, -1 takes what is left."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.reshape_param
        rank = len(setting.bottoms[0])
        # A negative axis counts from after the last: -1 appends.
        self.start = message.axis if message.axis >= 0 else rank + 1 + message.axis
        self.end = rank if message.num_axes == -1 else self.start + message.num_axes
        self.dims = tuple(int(d) for d in message.shape.dim)

    def forward(self, *bottoms: Tensor) -> Tensor:
        shape = tuple(bottoms[0].shape)
        middle = [shape[self.start + i] if dim == 0 else dim for i, dim in enumerate(self.dims)]
        if -1 in middle:
            rest = math.prod(dim for dim in middle if dim != -1)
            middle[middle.index(-1)] = math.prod(shape[self.start : self.end]) // max(1, rest)
        return bottoms[0].reshape(*shape[: self.start], *middle, *shape[self.end :])


@layer("Silence")
class Silence(Layer):
    """Takes blobs that nobody else wants, so that they are no outputs."""

    def forward(self, *bottoms: Tensor) -> Tops:
        del bottoms
        return ()
