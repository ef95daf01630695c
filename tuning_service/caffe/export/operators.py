"""Each layer type in ONNX operators: adds nodes that make `graph.tops` of `graph.bottoms`."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tuning_service.caffe.checks import check
from tuning_service.caffe.dims import axis_of
from tuning_service.caffe.export.graph import Graph
from tuning_service.caffe.layers.pooling import Axis
from tuning_service.caffe.messages import choice
from tuning_service.caffe.shapes import ShapedLayer
from tuning_service.caffe.windows import convolution_window, pooling_window

Arrays = Sequence[npt.NDArray[np.float32]]
Operator = Callable[[Graph, ShapedLayer, Arrays], None]


def _rank(one: ShapedLayer) -> int:
    return len(one.bottoms[0] or ())


def _plain(kind: str) -> Operator:
    def write(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
        del one, arrays
        graph.node(kind, graph.bottoms, graph.tops)

    return write


def _convolution(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    message = one.planned.layer.convolution_param
    window = convolution_window(message, _rank(one) - 2)
    blobs = [graph.constant(array) for array in arrays]
    kind = "ConvTranspose" if one.planned.type == "Deconvolution" else "Conv"
    for bottom, top in zip(graph.bottoms, graph.tops, strict=True):
        graph.node(
            kind,
            [bottom, *blobs],
            [top],
            group=int(message.group),
            strides=window.stride,
            pads=[*window.pad, *window.pad],
            dilations=window.dilation,
        )


def _inner_product(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    message = one.planned.layer.inner_product_param
    axis = axis_of(message.axis, _rank(one))
    vector = graph.bottoms[0]
    if axis != _rank(one) - 1:
        vector = graph.node("Reshape", [vector, graph.whole(*[0] * axis, -1)])
    weights = graph.constant(arrays[0] if message.transpose else arrays[0].T)
    if len(arrays) == 1:
        graph.node("MatMul", [vector, weights], graph.tops)
        return
    graph.node("Add", [graph.node("MatMul", [vector, weights]), graph.constant(arrays[1])], graph.tops)


def _pooling(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    """Windows that hang over are padded here: runtimes do not agree on ceil_mode."""
    del arrays
    message = one.planned.layer.pooling_param
    bottom, top = one.bottoms[0] or (), one.tops[0] or ()
    window = pooling_window(message, bottom[2], bottom[3])
    axes = [
        Axis(size or 1, windows or 1, kernel or 1, stride, pad)
        for size, windows, kernel, stride, pad in zip(
            bottom[2:], top[2:], window.kernel, window.stride, window.pad, strict=True
        )
    ]
    kernel, strides = [axis.kernel for axis in axes], [axis.stride for axis in axes]
    before, after = [axis.pad for axis in axes], [axis.pad + max(0, axis.over) for axis in axes]
    maximum = choice(message, "pool") == "MAX"
    fill = graph.floats(float(np.finfo(np.float32).min) if maximum else 0.0)
    value = graph.bottoms[0]
    if any(before) or any(after):
        value = graph.node("Pad", [value, graph.whole(0, 0, *before, 0, 0, *after), fill])
    if maximum:
        graph.node("MaxPool", [value], graph.tops, kernel_shape=kernel, strides=strides)
        return
    areas = axes[0].areas()[:, None] * axes[1].areas()[None, :]
    whole = math.prod(kernel)
    if bool((areas == whole).all()):
        graph.node("AveragePool", [value], graph.tops, kernel_shape=kernel, strides=strides)
        return
    means = graph.node("AveragePool", [value], kernel_shape=kernel, strides=strides)
    share = np.where(areas.numpy() > 0, whole / np.maximum(areas.numpy(), 1), 0).astype(np.float32)
    graph.node("Mul", [means, graph.constant(share)], graph.tops)


def _lrn(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.lrn_param
    size, alpha, beta = int(message.local_size), float(message.alpha), float(message.beta)
    (x,) = graph.bottoms
    if choice(message, "norm_region") == "ACROSS_CHANNELS":
        graph.node("LRN", [x], graph.tops, size=size, alpha=alpha, beta=beta, bias=float(message.k))
        return
    reach = (size - 1) // 2
    squares = graph.node("Mul", [x, x])
    mean = graph.node(
        "AveragePool", [squares], kernel_shape=[size, size], pads=[reach] * 4, strides=[1, 1], count_include_pad=1
    )
    scale = graph.node("Add", [graph.node("Mul", [mean, graph.floats(alpha)]), graph.floats(1.0)])
    graph.node("Mul", [x, graph.node("Pow", [scale, graph.floats(-beta)])], graph.tops)


def _batch_norm(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    message = one.planned.layer.batch_norm_param
    check(
        not message.HasField("use_global_stats") or message.use_global_stats,
        f'layer "{one.planned.name}": use_global_stats: false depends on the batch, which ONNX has no operator for',
    )
    mean, variance, factor = arrays
    scale = 0.0 if factor.item() == 0 else 1 / factor.item()
    fixed = [np.ones_like(mean), np.zeros_like(mean), mean * np.float32(scale), variance * np.float32(scale)]
    inputs = [graph.bottoms[0], *[graph.constant(array) for array in fixed]]
    graph.node("BatchNormalization", inputs, graph.tops, epsilon=float(message.eps))


def _spread(graph: Graph, one: ShapedLayer, axis: int, array: npt.NDArray[np.float32] | None) -> str:
    """A blob, or the second bottom, with axes of 1 behind it."""
    start = axis_of(axis, _rank(one))
    own = array.ndim if array is not None else len(one.bottoms[1] or ())
    behind = _rank(one) - start - own
    if array is not None:
        return graph.constant(array.reshape(*array.shape, *[1] * behind))
    if not behind:
        return graph.bottoms[1]
    return graph.node("Unsqueeze", [graph.bottoms[1], graph.whole(*range(own, own + behind))])


def _scale(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    message, left = one.planned.layer.scale_param, list(arrays)
    factor = _spread(graph, one, message.axis, left.pop(0) if len(one.bottoms) == 1 else None)
    if not left:
        graph.node("Mul", [graph.bottoms[0], factor], graph.tops)
        return
    scaled = graph.node("Mul", [graph.bottoms[0], factor])
    graph.node("Add", [scaled, _spread(graph, one, message.axis, left[0])], graph.tops)


def _bias(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    axis = one.planned.layer.bias_param.axis
    added = _spread(graph, one, axis, arrays[0] if arrays else None)
    graph.node("Add", [graph.bottoms[0], added], graph.tops)


def _relu(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    slope = float(one.planned.layer.relu_param.negative_slope)
    if slope:
        graph.node("LeakyRelu", graph.bottoms, graph.tops, alpha=slope)
    else:
        graph.node("Relu", graph.bottoms, graph.tops)


def _prelu(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    slope = graph.constant(arrays[0].reshape(-1, *[1] * (_rank(one) - 2)))
    graph.node("PRelu", [graph.bottoms[0], slope], graph.tops)


def _elu(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    graph.node("Elu", graph.bottoms, graph.tops, alpha=float(one.planned.layer.elu_param.alpha))


def _linear(graph: Graph, scale: float, shift: float) -> str:
    scaled = graph.node("Mul", [graph.bottoms[0], graph.floats(scale)])
    return graph.node("Add", [scaled, graph.floats(shift)])


def _power(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.power_param
    value = _linear(graph, message.scale, message.shift)
    graph.node("Pow", [value, graph.floats(message.power)], graph.tops)


def _exp(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.exp_param
    base = 1.0 if message.base == -1 else math.log(message.base)
    graph.node("Exp", [_linear(graph, base * message.scale, base * message.shift)], graph.tops)


def _log(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.log_param
    base = 1.0 if message.base == -1 else math.log(message.base)
    logs = graph.node("Log", [_linear(graph, message.scale, message.shift)])
    graph.node("Div", [logs, graph.floats(base)], graph.tops)


def _threshold(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    limit = graph.floats(float(one.planned.layer.threshold_param.threshold))
    graph.node("Cast", [graph.node("Greater", [graph.bottoms[0], limit])], graph.tops, to=1)


def _concat(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.concat_param
    axis = message.concat_dim if message.HasField("concat_dim") else message.axis
    graph.node("Concat", graph.bottoms, graph.tops, axis=axis_of(axis, _rank(one)))


def _slice(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.slice_param
    axis = axis_of(message.slice_dim if message.HasField("slice_dim") else message.axis, _rank(one))
    sizes = graph.whole(*[(top or ())[axis] or 0 for top in one.tops])
    graph.node("Split", [graph.bottoms[0], sizes], graph.tops, axis=axis)


def _split(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del one, arrays
    for top in graph.tops:
        graph.node("Identity", graph.bottoms, [top])


def _eltwise(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message = one.planned.layer.eltwise_param
    kind = choice(message, "operation")
    if kind == "MAX":
        graph.node("Max", graph.bottoms, graph.tops)
        return
    values = graph.bottoms
    if kind == "SUM" and message.coeff:
        pairs = zip(values, message.coeff, strict=True)
        values = [graph.node("Mul", [value, graph.floats(factor)]) for value, factor in pairs]
    operator = "Add" if kind == "SUM" else "Mul"
    value = values[0]
    for index, other in enumerate(values[1:], 2):
        value = graph.node(operator, [value, other], graph.tops if index == len(values) else ())


def _flatten(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    message, bottom = one.planned.layer.flatten_param, one.bottoms[0] or ()
    start, end = axis_of(message.axis, len(bottom)), axis_of(message.end_axis, len(bottom))
    dims = graph.whole(*[0] * start, -1, *[dim or 0 for dim in bottom[end + 1 :]])
    graph.node("Reshape", [graph.bottoms[0], dims], graph.tops)


def _reshape(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    bottom, top = one.bottoms[0] or (), one.tops[0] or ()
    kept = bottom[:1] == top[:1]
    dims = graph.whole(*([0] if kept else [top[0] or 0]), *[dim or 0 for dim in top[1:]])
    graph.node("Reshape", [graph.bottoms[0], dims], graph.tops)


def _softmax(graph: Graph, one: ShapedLayer, arrays: Arrays) -> None:
    del arrays
    axis = axis_of(one.planned.layer.softmax_param.axis, _rank(one))
    graph.node("Softmax", graph.bottoms, graph.tops, axis=axis)


OPERATORS: dict[str, Operator] = {
    "AbsVal": _plain("Abs"),
    "BNLL": _plain("Softplus"),
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Dropout": _plain("Identity"),
    "ELU": _elu,
    "Eltwise": _eltwise,
    "Exp": _exp,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Log": _log,
    "PReLU": _prelu,
    "Pooling": _pooling,
    "Power": _power,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": _plain("Sigmoid"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "TanH": _plain("Tanh"),
    "Threshold": _threshold,
}
