"""Softmax, Accuracy and ArgMax: what a net says, and how right it is."""

import math

import torch
from torch import Tensor

from tuning_service.caffe.dims import axis_of
from tuning_service.caffe.layers.base import Layer, Setting, Tops, layer


@layer("Softmax")
class Softmax(Layer):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.axis = axis_of(setting.message.softmax_param.axis, len(setting.bottoms[0]))

    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.softmax(bottoms[0], self.axis)


@layer("Accuracy")
class Accuracy(Layer):
    """Right are the samples whose class is among the top_k, ties counted against it; nan is never right.

    The second top, if any, is the accuracy of each class, 0 for a class that does not occur.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.accuracy_param
        self.axis = axis_of(message.axis, len(setting.bottoms[0]))
        self.top_k = int(message.top_k)
        self.ignored = int(message.ignore_label) if message.HasField("ignore_label") else None

    @torch.no_grad()
    def forward(self, *bottoms: Tensor) -> Tops:
        x = bottoms[0].movedim(self.axis, -1)
        x = x.reshape(-1, x.shape[-1])
        labels = bottoms[1].reshape(-1).long()
        counted = torch.ones_like(labels, dtype=torch.bool) if self.ignored is None else labels != self.ignored
        labels = labels.masked_fill(~counted, 0)
        own = x.gather(1, labels[:, None])
        right = ((x >= own).sum(1) <= self.top_k) & ~own[:, 0].isnan() & counted
        share = right.sum() / counted.sum().clamp(min=1)
        if len(self.setting.tops) < 2:
            return share
        seen = torch.bincount(labels[counted], minlength=x.shape[1])
        hits = torch.bincount(labels[right], minlength=x.shape[1])
        return share, hits / seen.clamp(min=1)


@layer("ArgMax")
class ArgMax(Layer):
    """The indices of the top_k values, largest first, and the values when out_max_val is set."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.argmax_param
        self.top_k, self.values = int(message.top_k), bool(message.out_max_val)
        self.axis = axis_of(message.axis, len(setting.bottoms[0])) if message.HasField("axis") else None

    @torch.no_grad()
    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0]
        if self.axis is not None:
            found = x.topk(self.top_k, self.axis)
            return found.values if self.values else found.indices.to(x.dtype)
        found = x.reshape(x.shape[0], math.prod(x.shape[1:])).topk(self.top_k, 1)
        where = found.indices.to(x.dtype)
        return torch.stack([where, found.values], 1) if self.values else where[:, None]
