"""LRN and BatchNorm."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from tuning_service.caffe.checks import check
from tuning_service.caffe.layers.base import Layer, Setting, layer
from tuning_service.caffe.messages import choice


def _raised(scale: Tensor, beta: float) -> Tensor:
    """Scale ** -beta; the usual exponent by square roots, several times faster than by logarithms."""
    if beta == 0.75:
        root = scale.rsqrt()
        return root * root.sqrt()
    return scale.pow(-beta)


def _window_sums(x: Tensor, size: int) -> Tensor:
    """Of each channel and its (size - 1) / 2 neighbours on either side."""
    reach = (size - 1) // 2
    sums = x.clone()
    for step in range(1, min(reach, x.shape[1] - 1) + 1):
        sums[:, step:] += x[:, :-step]
        sums[:, :-step] += x[:, step:]
    return sums


class _AcrossChannels(torch.autograd.Function):
    """y = x * scale ** -beta, scale = k + alpha / n * (sum of x² over the window).

    Written with its gradient: autograd's would keep five more tensors of the size of the bottom.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        scale = _window_sums(x * x, size).mul_(alpha / size).add_(k)
        y = _raised(scale, beta).mul_(x)
        ctx.save_for_backward(x, scale, y)
        ctx.fixed = (size, alpha, beta)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, scale, y = ctx.saved_tensors
        size, alpha, beta = ctx.fixed
        (grad,) = grads
        through = _window_sums(grad * y / scale, size).mul_(x).mul_(2 * alpha * beta / size)
        return _raised(scale, beta).mul_(grad).sub_(through), None, None, None, None


@layer("LRN")
class LRN(Layer):
    """Within a channel, the window is a square and the mean counts the zeros around the input; k is 1 there."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.lrn_param
        self.size = int(message.local_size)
        check(self.size % 2 == 1, f'layer "{setting.name}": lrn_param.local_size is {self.size}; it must be odd')
        self.alpha, self.beta, self.k = float(message.alpha), float(message.beta), float(message.k)
        self.within = choice(message, "norm_region") == "WITHIN_CHANNEL"

    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0]
        if self.within:
            mean = functional.avg_pool2d(x * x, self.size, 1, (self.size - 1) // 2)
            return x * _raised(mean * self.alpha + 1, self.beta)
        made: Tensor = _AcrossChannels.apply(x, self.size, self.alpha, self.beta, self.k)  # type: ignore[no-untyped-call]
        return made


@layer("BatchNorm")
class BatchNorm(Layer):
    """Blobs: sums of means and of variances that fade by moving_average_fraction, and the sum of their weights."""

    BLOBS: ClassVar[tuple[str, ...]] = ("mean", "variance", "factor")
    mean: Tensor
    variance: Tensor
    factor: Tensor

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        message = setting.message.batch_norm_param
        self.fixed = bool(message.use_global_stats) if message.HasField("use_global_stats") else not setting.training
        self.fraction, self.eps = float(message.moving_average_fraction), float(message.eps)
        shape = setting.bottoms[0]
        channels = shape[1] if len(shape) > 1 else 1
        self.register_buffer("batch_mean", torch.zeros(channels), persistent=False)
        self.register_buffer("batch_variance", torch.zeros(channels), persistent=False)

    def forward(self, *bottoms: Tensor) -> Tensor:
        x = bottoms[0] if bottoms[0].dim() > 1 else bottoms[0].unsqueeze(1)
        top = self._known(x) if self.fixed else self._of_batch(x)
        return top.view_as(bottoms[0])

    def _known(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            scale = torch.where(self.factor == 0, torch.zeros_like(self.factor), 1 / self.factor)
            mean, variance = self.mean * scale, self.variance * scale
        return functional.batch_norm(x, mean, variance, training=False, eps=self.eps)

    def _of_batch(self, x: Tensor) -> Tensor:
        mean, variance = self.get_buffer("batch_mean"), self.get_buffer("batch_variance")
        if x.numel() == x.shape[1]:
            # One value per channel, for which torch refuses: it is its own mean, and does not vary.
            with torch.no_grad():
                mean.copy_(x.detach().reshape(-1))
                variance.zero_()
            top = x * 0.0
        else:
            # momentum 1: the buffers become this batch's mean and unbiased variance, which is what Caffe adds up.
            top = functional.batch_norm(x, mean, variance, training=True, momentum=1.0, eps=self.eps)
        with torch.no_grad():
            self.mean.mul_(self.fraction).add_(mean)
            self.variance.mul_(self.fraction).add_(variance)
            self.factor.mul_(self.fraction).add_(1)
        return top
