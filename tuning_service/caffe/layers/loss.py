"""Losses. Each gives one number, which the net weighs by loss_weight."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuning_service.caffe.dims import axis_of
from tuning_service.caffe.layers.base import Layer, Setting, Tops, layer
from tuning_service.caffe.messages import choice

# -log of the smallest positive normal float: what Caffe's loss is at most, however wrong the net.
MOST = -math.log(torch.finfo(torch.float32).tiny)


class _Normalised(Layer):
    """Divides a sum of losses as loss_param says."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.loss_param
        self.ignored = int(message.ignore_label) if message.HasField("ignore_label") else None
        self.mode = self.mode_of(message)

    def mode_of(self, message: Any) -> str:
        """The old field `normalize` counts where the new one is not given."""
        if message.HasField("normalize") and not message.HasField("normalization"):
            return "VALID" if message.normalize else "BATCH_SIZE"
        return choice(message, "normalization")

    def normalised(self, total: Tensor, count: int, outer: int, ignored: Tensor | None) -> Tensor:
        """`total` over the divisor; `ignored` marks the values that do not count, of `count`."""
        if self.mode == "NONE":
            return total
        if self.mode == "BATCH_SIZE":
            return total / max(1, outer)
        if self.mode == "VALID" and ignored is not None:
            return total / (count - ignored.sum()).clamp(min=1)
        return total / max(1, count)


@layer("SoftmaxWithLoss")
class SoftmaxWithLoss(_Normalised):
    """The second top, if any, is the softmax."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.axis = axis_of(setting.message.softmax_param.axis, len(setting.bottoms[0]))
        self.outer = math.prod(setting.bottoms[0][: self.axis])

    def forward(self, *bottoms: Tensor) -> Tops:
        logs = functional.log_softmax(bottoms[0], self.axis)
        labels = bottoms[1].reshape(*logs.shape[: self.axis], 1, *logs.shape[self.axis + 1 :]).long()
        ignored = None if self.ignored is None else labels == self.ignored
        if ignored is not None:
            labels = labels.masked_fill(ignored, 0)
        losses = -logs.gather(self.axis, labels)
        # The value is cut off, the gradient is not.
        losses = losses + (losses.clamp(max=MOST) - losses).detach()
        if ignored is not None:
            losses = losses.masked_fill(ignored, 0.0)
        loss = self.normalised(losses.sum(), losses.numel(), self.outer, ignored)
        return (loss, logs.exp()) if len(self.setting.tops) > 1 else loss


@layer("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(_Normalised):
    """Divided by the batch's size unless loss_param says otherwise."""

    def mode_of(self, message: Any) -> str:
        if message.HasField("normalization"):
            return choice(message, "normalization")
        return "VALID" if message.HasField("normalize") and message.normalize else "BATCH_SIZE"

    def forward(self, *bottoms: Tensor) -> Tensor:
        x, target = bottoms[0], bottoms[1].reshape(bottoms[0].shape)
        losses = functional.binary_cross_entropy_with_logits(x, target.to(x.dtype), reduction="none")
        ignored = None if self.ignored is None else target == self.ignored
        if ignored is not None:
            losses = losses.masked_fill(ignored, 0.0)
        return self.normalised(losses.sum(), losses.numel(), x.shape[0], ignored)


@layer("EuclideanLoss")
class EuclideanLoss(Layer):
    """Half the sum of squared differences, over the batch's size."""

    def forward(self, *bottoms: Tensor) -> Tensor:
        apart = bottoms[0] - bottoms[1].reshape(bottoms[0].shape)
        return (apart * apart).sum() / (2 * bottoms[0].shape[0])


@layer("HingeLoss")
class HingeLoss(Layer):
    """One against all, L1 or L2, over the batch's size."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.squared = choice(setting.message.hinge_loss_param, "norm") == "L2"

    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0].flatten(1)
        sign = torch.ones_like(x).scatter_(1, bottoms[1].reshape(-1, 1).long(), -1.0)
        over = (1 + sign * x).clamp(min=0)
        return (over * over if self.squared else over).sum() / x.shape[0]
