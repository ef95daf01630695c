"""How far the windows of convolutions and pooling go: settings written in several ways, sizes of what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.caffe.dims import Dim


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Of a Convolution, Deconvolution or Pooling layer: one number for each spatial axis, in their order."""

    kernel: tuple[Dim, ...]  # None only for global pooling over an input of unknown size
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    def extent(self, axis: int) -> Dim:
        """How many input places the kernel reaches over."""
        size = self.kernel[axis]
        return None if size is None else self.dilation[axis] * (size - 1) + 1


def convolution_window(param: Any, axes: int) -> Window:
    """Of a ConvolutionParameter over `axes` spatial axes. Raises ValueError."""
    if param.HasField("kernel_h") or param.HasField("kernel_w"):
        if axes != 2 or param.kernel_size:
            raise ValueError("has kernel_h or kernel_w where kernel_size says it, or not for two spatial axes")
        kernel: tuple[int, ...] = (param.kernel_h, param.kernel_w)
    else:
        kernel = _each("kernel_size", list(param.kernel_size), axes, None)
    window = Window(
        kernel=kernel,
        stride=_pair_or_each(param, "stride", axes, 1),
        pad=_pair_or_each(param, "pad", axes, 0),
        dilation=_each("dilation", list(param.dilation), axes, 1),
    )
    _check(window)
    return window


def pooling_window(param: Any, height: Dim, width: Dim) -> Window:
    """Of a PoolingParameter over an input of that size. Raises ValueError."""
    if param.global_pooling:
        if any(param.HasField(name) for name in ("kernel_size", "kernel_h", "kernel_w")):
            raise ValueError("has global_pooling, which takes no kernel size")
        window = Window(kernel=(height, width), stride=_pool(param, "stride"), pad=_pool(param, "pad"), dilation=(1, 1))
        if window.pad != (0, 0) or window.stride != (1, 1):
            raise ValueError("has global_pooling, which takes no pad and no stride")
        return window
    window = Window(
        kernel=_pool(param, "kernel_size", "kernel"),
        stride=_pool(param, "stride"),
        pad=_pool(param, "pad"),
        dilation=(1, 1),
    )
    _check(window)
    for pad, size in zip(window.pad, window.kernel, strict=True):
        if size is not None and pad >= size:
            raise ValueError(f"has pad {pad}, which must be smaller than its kernel of {size}")
    return window


def convolved(size: Dim, window: Window, axis: int) -> Dim:
    """What a convolution makes of one spatial axis. Raises ValueError when the kernel does not fit."""
    reach = window.extent(axis)
    if size is None or reach is None:
        return None
    room = size + 2 * window.pad[axis] - reach
    if room < 0:
        raise ValueError(_too_large(window, axis, size))
    return room // window.stride[axis] + 1


def deconvolved(size: Dim, window: Window, axis: int) -> Dim:
    """What a deconvolution makes of one spatial axis. Raises ValueError when nothing is left."""
    reach = window.extent(axis)
    if size is None or reach is None:
        return None
    made = window.stride[axis] * (size - 1) + reach - 2 * window.pad[axis]
    if made < 1:
        raise ValueError(f"leaves nothing of an input of {size} with pad {window.pad[axis]}")
    return made


def pooled(size: Dim, window: Window, axis: int, *, floor: bool) -> Dim:
    """What pooling makes of one spatial axis: rounded up, and without a last window that begins in the padding.

    A window that hangs over the end is cut there, so that a kernel may be larger than its input by less than its
    stride, as in Caffe. Raises ValueError when it is larger than that.
    """
    kernel, stride, pad = window.kernel[axis], window.stride[axis], window.pad[axis]
    if size is None or kernel is None:
        return None
    room = size + 2 * pad - kernel
    made = (room // stride if floor else -(-room // stride)) + 1
    # Caffe looks at both axes where either has padding.
    if any(window.pad) and (made - 1) * stride >= size + pad:
        made -= 1
    if made < 1:
        raise ValueError(_too_large(window, axis, size))
    return made


def _too_large(window: Window, axis: int, size: int) -> str:
    reach = window.extent(axis)
    dilated = f" (dilated to {reach})" if reach != window.kernel[axis] else ""
    padded = f" and pad {window.pad[axis]}" if window.pad[axis] else ""
    return f"kernel of {window.kernel[axis]}{dilated} is larger than its input of {size}{padded}"


def _each(name: str, given: Sequence[int], axes: int, default: int | None) -> tuple[int, ...]:
    if not given and default is None:
        raise ValueError(f"has no {name}")
    if not given:
        given = [default or 0]
    if len(given) not in {1, axes}:
        raise ValueError(f"has {len(given)} {name} fields for {axes} spatial axes; give one, or one for each")
    return tuple(given) * axes if len(given) == 1 else tuple(given)


def _pair_or_each(param: Any, name: str, axes: int, default: int) -> tuple[int, ...]:
    if param.HasField(f"{name}_h") or param.HasField(f"{name}_w"):
        if axes != 2 or getattr(param, name):
            raise ValueError(f"has {name}_h or {name}_w where {name} says it, or not for two spatial axes")
        return (getattr(param, f"{name}_h"), getattr(param, f"{name}_w"))
    return _each(name, list(getattr(param, name)), axes, default)


def _pool(param: Any, name: str, pair: str = "") -> tuple[int, int]:
    pair = pair or name
    both = param.HasField(f"{pair}_h"), param.HasField(f"{pair}_w")
    if any(both):
        if not all(both) or param.HasField(name):
            raise ValueError(f"needs either {name}, or both {pair}_h and {pair}_w")
        return (getattr(param, f"{pair}_h"), getattr(param, f"{pair}_w"))
    if name == "kernel_size" and not param.HasField(name):
        raise ValueError("has no kernel_size")
    value = getattr(param, name)
    return (value, value)


def _check(window: Window) -> None:
    for name, values in (("kernel", window.kernel), ("stride", window.stride), ("dilation", window.dilation)):
        if any(value is not None and value < 1 for value in values):
            raise ValueError(f"has a {name} of 0; it must be above 0")
