"""Convolution and Deconvolution, in one, two or three dimensions."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.layers.base import Layer, Setting, Tops, layer
from tuning_service.caffe.windows import convolution_window

_FORWARD: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_BACKWARD: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


class Windowed(Layer):
    """Several bottoms share the weights, one top each."""

    BLOBS: ClassVar[tuple[str, ...]] = ("weight", "bias")
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message, rank = setting.message.convolution_param, len(setting.bottoms[0]) - 2
        if rank not in _FORWARD:
            raise CheckFailed(f'layer "{setting.name}": convolution over {rank} axes; it works over 1, 2 or 3')
        check(message.axis in {1, -1 - rank}, f'layer "{setting.name}": convolution_param.axis must be 1')
        self.rank, self.window, self.group = rank, convolution_window(message, rank), int(message.group)
        if not message.bias_term:
            self.bias = None

    def one(self, x: Tensor) -> Tensor:
        """The top for bottom `x`."""
        raise NotImplementedError

    def forward(self, *bottoms: Tensor) -> Tops:
        return self.one(bottoms[0]) if len(bottoms) == 1 else tuple(self.one(x) for x in bottoms)


@layer("Convolution")
class Convolution(Windowed):
    def one(self, x: Tensor) -> Tensor:
        window = self.window
        return _FORWARD[self.rank](x, self.weight, self.bias, window.stride, window.pad, window.dilation, self.group)


@layer("Deconvolution")
class Deconvolution(Windowed):
    """Caffe's weights of it are (inputs, outputs / group, …), which is torch's order too."""

    def one(self, x: Tensor) -> Tensor:
        window = self.window
        return _BACKWARD[self.rank](
            x, self.weight, self.bias, window.stride, window.pad, 0, self.group, window.dilation
        )
