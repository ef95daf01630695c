"""InnerProduct, Scale and Bias."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from tuning_service.caffe.dims import axis_of
from tuning_service.caffe.layers.base import Layer, Setting, layer


@layer("InnerProduct")
class InnerProduct(Layer):
    """The axes from `axis` on are one vector; those before it are kept."""

    BLOBS: ClassVar[tuple[str, ...]] = ("weight", "bias")
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.message = message = setting.message.inner_product_param
        self.axis = axis_of(message.axis, len(setting.bottoms[0]))
        self.flatten = self.axis != len(setting.bottoms[0]) - 1
        self.transpose = bool(message.transpose)
        if not message.bias_term:
            self.bias = None

    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0].flatten(self.axis) if self.flatten else bottoms[0]
        return functional.linear(x, self.weight.t() if self.transpose else self.weight, self.bias)


class _Broadcast(Layer):
    """The second bottom, or a blob, is spread over the first from `axis` on."""

    def shape_of(self, factor: Tensor, axis: int) -> Tensor:
        rank = len(self.setting.bottoms[0])
        return factor.view(*factor.shape, *[1] * (rank - axis - factor.dim()))


@layer("Scale")
class Scale(_Broadcast):
    """With two bottoms, the second is the factor and the only blob may be the bias."""

    BLOBS: ClassVar[tuple[str, ...]] = ("weight", "bias")
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.message = message = setting.message.scale_param
        self.given = len(setting.bottoms) > 1
        self.axis = axis_of(message.axis, len(setting.bottoms[0]))
        if self.given:
            self.BLOBS = ("bias",)  # type: ignore[misc]  # of this layer, not of all
        if not message.bias_term:
            self.bias = None

    def forward(self, *bottoms: Tensor) -> Tensor:
        factor = bottoms[1] if self.given else self.weight
        x = bottoms[0] * self.shape_of(factor, self.axis)
        return x if self.bias is None else x + self.shape_of(self.bias, self.axis)


@layer("Bias")
class Bias(_Broadcast):
    """With two bottoms, the second is what is added."""

    BLOBS: ClassVar[tuple[str, ...]] = ("weight",)
    weight: nn.Parameter

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.message = setting.message.bias_param
        self.axis = axis_of(self.message.axis, len(setting.bottoms[0]))

    def forward(self, *bottoms: Tensor) -> Tensor:
        return bottoms[0] + self.shape_of(bottoms[1] if len(bottoms) > 1 else self.weight, self.axis)
