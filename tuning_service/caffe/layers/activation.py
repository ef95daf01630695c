"""Layers that treat each value by itself."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tuning_service.caffe.checks import check
from tuning_service.caffe.layers.base import Layer, Setting, layer


@layer("ReLU")
class ReLU(Layer):
    """Leaky with negative_slope."""

    CAN_WORK_INPLACE: ClassVar[bool] = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.slope = float(setting.message.relu_param.negative_slope)

    def forward(self, *bottoms: Tensor) -> Tensor:
        if self.slope:
            return functional.leaky_relu(bottoms[0], self.slope)
        return torch.relu_(bottoms[0]) if self.inplace else torch.relu(bottoms[0])


@layer("Sigmoid")
class Sigmoid(Layer):
    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.sigmoid(bottoms[0])


@layer("TanH")
class TanH(Layer):
    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.tanh(bottoms[0])


@layer("ELU")
class ELU(Layer):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.alpha = float(setting.message.elu_param.alpha)

    def forward(self, *bottoms: Tensor) -> Tensor:
        return functional.elu(bottoms[0], self.alpha)


@layer("PReLU")
class PReLU(Layer):
    """One slope per channel, or one for all; 0.25 at first."""

    BLOBS: ClassVar[tuple[str, ...]] = ("weight",)
    weight: nn.Parameter

    def forward(self, *bottoms: Tensor) -> Tensor:
        return functional.prelu(bottoms[0], self.weight.reshape(-1))


@layer("Dropout")
class Dropout(Layer):
    """Scales while training, so that nothing is left to do in a test."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.ratio = float(setting.message.dropout_param.dropout_ratio)
        check(0 <= self.ratio < 1, f'layer "{setting.name}": dropout_ratio is {self.ratio:g}; it must be in [0, 1)')

    def forward(self, *bottoms: Tensor) -> Tensor:
        return functional.dropout(bottoms[0], self.ratio) if self.setting.training else bottoms[0]


@layer("Power")
class Power(Layer):
    """(shift + scale * x) ** power."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.power_param
        self.power, self.scale, self.shift = float(message.power), float(message.scale), float(message.shift)

    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0] * self.scale + self.shift
        return x if self.power == 1 else x.pow(self.power)


@layer("AbsVal")
class AbsVal(Layer):
    def forward(self, *bottoms: Tensor) -> Tensor:
        return bottoms[0].abs()


class _Based(Layer):
    """Base -1 stands for e."""

    def base(self, message: Any) -> float:
        check(message.base == -1 or message.base > 0, f'layer "{self.setting.name}": base must be -1 or above 0')
        return 1.0 if message.base == -1 else math.log(message.base)


@layer("Exp")
class Exp(_Based):
    """Gives base ** (shift + scale * x)."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.exp_param
        base = self.base(message)
        self.scale, self.shift = base * message.scale, base * message.shift

    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.exp(bottoms[0] * self.scale + self.shift)


@layer("Log")
class Log(_Based):
    """Gives log_base(shift + scale * x)."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.message = setting.message.log_param
        self.divisor = self.base(self.message)

    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.log(bottoms[0] * self.message.scale + self.message.shift) / self.divisor


@layer("BNLL")
class BNLL(Layer):
    """Gives log(1 + exp(x))."""

    def forward(self, *bottoms: Tensor) -> Tensor:
        return functional.softplus(bottoms[0])


@layer("Threshold")
class Threshold(Layer):
    """Gives 1 where x is above the threshold. No gradient passes."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.limit = float(setting.message.threshold_param.threshold)

    def forward(self, *bottoms: Tensor) -> Tensor:
        above: Tensor = bottoms[0] > self.limit
        return above.to(bottoms[0].dtype)
