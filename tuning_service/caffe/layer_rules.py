"""For each type of layer that is no source of data: shapes of its tops and parameters, from those of its bottoms."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tuning_service.caffe.dims import Dim, Shape, axis_of, count, differ, merge, show
from tuning_service.caffe.net import PlannedLayer
from tuning_service.caffe.schema import FillerParameter
from tuning_service.caffe.windows import convolution_window, convolved, deconvolved, pooled, pooling_window


class Param(NamedTuple):
    """A parameter blob; `shape` None when it is not known yet."""

    shape: tuple[int, ...] | None
    filler: Any
    learned: bool = True


Result = tuple[list[Shape], list[Param]]


def shapes(planned: PlannedLayer, bottoms: Sequence[Shape]) -> Result:
    """Shapes of the tops of `planned`, and its parameters. Raises ValueError."""
    return _RULES[planned.type](planned, list(bottoms))


def _filler(kind: str, value: float = 0) -> Any:
    return FillerParameter(type=kind, value=value)


def _param(dims: Sequence[Dim] | None, filler: Any, *, learned: bool = True) -> Param:
    known = None if dims is None or None in dims else tuple(dim for dim in dims if dim is not None)
    return Param(known, filler, learned)


def _same(_planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    return [bottoms[0]], []


def _rank(shape: tuple[Dim, ...], rank: int, kind: str) -> None:
    if len(shape) != rank:
        raise ValueError(f"{kind} needs a bottom of {rank} dimensions, and its own is {show(shape)}")


def _convolution(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.convolution_param
    transposed = planned.type == "Deconvolution"
    if param.num_output < 1:
        raise ValueError("needs a num_output above 0")
    bottom = merge(bottoms)
    if bottom is None:
        return [None] * len(bottoms), [_param(None, f) for f in _fillers(param)]
    axis = axis_of(param.axis, len(bottom))
    window = convolution_window(param, len(bottom) - axis - 1)
    channels = bottom[axis]
    _check_groups(channels, param)
    rule = deconvolved if transposed else convolved
    spatial = [rule(size, window, place) for place, size in enumerate(bottom[axis + 1 :])]
    ends = (channels, param.num_output) if transposed else (param.num_output, channels)
    per_group = None if ends[1] is None else ends[1] // param.group
    weights = _param((ends[0], per_group, *window.kernel), param.weight_filler)
    bias = [_param((param.num_output,), param.bias_filler)] if param.bias_term else []
    top = (*bottom[:axis], param.num_output, *spatial)
    return [top] * len(bottoms), [weights, *bias]


def _fillers(param: Any) -> list[Any]:
    return [param.weight_filler, param.bias_filler] if param.bias_term else [param.weight_filler]


def _check_groups(channels: Dim, param: Any) -> None:
    if param.group < 1:
        raise ValueError("needs a group above 0")
    if channels is not None and channels % param.group:
        raise ValueError(f"group {param.group} does not divide the {channels} channels of its input")
    if param.num_output % param.group:
        raise ValueError(f"group {param.group} does not divide num_output {param.num_output}")


def _pooling(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.pooling_param
    if param.pool == param.STOCHASTIC:
        raise ValueError("pool: STOCHASTIC is not supported; use MAX or AVE")
    if bottoms[0] is None:
        pooling_window(param, None, None)
        return [None], []
    _rank(bottoms[0], 4, "Pooling")
    number, channels, height, width = bottoms[0]
    window = pooling_window(param, height, width)
    if param.global_pooling:
        return [(number, channels, 1, 1)], []
    floor = param.round_mode == param.FLOOR
    sizes = [pooled(size, window, axis, floor=floor) for axis, size in enumerate((height, width))]
    return [(number, channels, *sizes)], []


def _inner_product(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.inner_product_param
    if param.num_output < 1:
        raise ValueError("needs a num_output above 0")
    bias = [_param((param.num_output,), param.bias_filler)] if param.bias_term else []
    if bottoms[0] is None:
        return [None], [_param(None, param.weight_filler), *bias]
    axis = axis_of(param.axis, len(bottoms[0]))
    inputs = count(bottoms[0][axis:])
    dims = (inputs, param.num_output) if param.transpose else (param.num_output, inputs)
    return [(*bottoms[0][:axis], param.num_output)], [_param(dims, param.weight_filler), *bias]


def _lrn(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    if planned.layer.lrn_param.local_size % 2 == 0:
        raise ValueError(f"needs an odd local_size, and has {planned.layer.lrn_param.local_size}")
    if bottoms[0] is not None:
        _rank(bottoms[0], 4, "LRN")
    return [bottoms[0]], []


def _batch_norm(_planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    shape = bottoms[0]
    channels = None if shape is None else ((shape[1],) if len(shape) > 1 else (1,))
    zero = _filler("constant")
    # Mean, variance and how many batches they are of: kept while training, not learned.
    return [shape], [_param(dims, zero, learned=False) for dims in (channels, channels, (1,))]


def _scale(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.scale_param
    part = _part(param, bottoms)
    filler = param.filler if param.HasField("filler") else _filler("constant", 1)
    factors = [_param(part, filler)] if len(bottoms) == 1 else []
    return [bottoms[0]], [*factors, *([_param(part, param.bias_filler)] if param.bias_term else [])]


def _bias(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.bias_param
    part = _part(param, bottoms)
    return [bottoms[0]], [_param(part, param.filler)] if len(bottoms) == 1 else []


def _part(param: Any, bottoms: list[Shape]) -> Shape:
    """The part of the first bottom's shape that a Scale or Bias has a number for each place of."""
    if bottoms[0] is None:
        return None
    rank = len(bottoms[0])
    axis = axis_of(param.axis, rank)
    if len(bottoms) == 1:
        if param.num_axes < -1 or axis + param.num_axes > rank:
            raise ValueError(f"num_axes {param.num_axes} goes beyond its bottom of {show(bottoms[0])}")
        return bottoms[0][axis:] if param.num_axes == -1 else bottoms[0][axis : axis + param.num_axes]
    if bottoms[1] is None:
        return None
    part = bottoms[0][axis : axis + len(bottoms[1])]
    if len(part) != len(bottoms[1]) or any(differ(a, b) for a, b in zip(part, bottoms[1], strict=True)):
        raise ValueError(
            f"its second bottom is {show(bottoms[1])}, which is no part of {show(bottoms[0])} from axis {axis}"
        )
    return part


def _prelu(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.prelu_param
    filler = param.filler if param.HasField("filler") else _filler("constant", 0.25)
    if param.channel_shared:
        return [bottoms[0]], [_param((), filler)]
    if bottoms[0] is not None and len(bottoms[0]) < 2:
        raise ValueError(f"PReLU needs a bottom of two dimensions or more, and its own is {show(bottoms[0])}")
    return [bottoms[0]], [_param(None if bottoms[0] is None else bottoms[0][1:2], filler)]


def _dropout(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    ratio = planned.layer.dropout_param.dropout_ratio
    if not 0 <= ratio < 1:
        raise ValueError(f"needs a dropout_ratio from 0 to below 1, and has {ratio:g}")
    return [bottoms[0]], []


def _concat(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.concat_param
    known = [shape for shape in bottoms if shape is not None]
    if len(known) < len(bottoms):
        return [None], []
    axis = axis_of(param.concat_dim if param.HasField("concat_dim") else param.axis, len(known[0]))
    rest = merge([(*shape[:axis], None, *shape[axis + 1 :]) if len(shape) > axis else shape for shape in known])
    sizes = [shape[axis] for shape in known]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return [(*(rest or ())[:axis], total, *(rest or ())[axis + 1 :])], []


def _slice(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param, pieces = planned.layer.slice_param, len(planned.tops)
    points = list(param.slice_point)
    if points and len(points) != pieces - 1:
        raise ValueError(f"has {len(points)} slice_point fields for {pieces} tops; give none, or one fewer than tops")
    if bottoms[0] is None:
        return [None] * pieces, []
    axis = axis_of(param.slice_dim if param.HasField("slice_dim") else param.axis, len(bottoms[0]))
    total = bottoms[0][axis]
    sizes: list[Dim] = [None] * pieces
    if points:
        # Its last piece is what the others leave, and may be unknown.
        edges = [0, *points, total]
        sizes = [None if high is None else high - (low or 0) for low, high in pairwise(edges)]
        if any(size is not None and size < 1 for size in sizes):
            raise ValueError(
                f"slice_point {', '.join(map(str, points))} does not rise within the {total} of its bottom"
            )
    elif total is not None:
        if total % pieces:
            raise ValueError(f"cannot divide {total} evenly among {pieces} tops; give slice_point")
        sizes = [total // pieces] * pieces
    return [(*bottoms[0][:axis], size, *bottoms[0][axis + 1 :]) for size in sizes], []


def _split(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    return [bottoms[0]] * len(planned.tops), []


def _eltwise(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.eltwise_param
    if len(param.coeff) not in {0, len(bottoms)}:
        raise ValueError(f"has {len(param.coeff)} coeff fields for {len(bottoms)} bottoms; give none, or one for each")
    if param.coeff and param.operation != param.SUM:
        raise ValueError("has coeff, which only operation: SUM takes")
    return [merge(bottoms)], []


def _flatten(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.flatten_param
    if bottoms[0] is None:
        return [None], []
    first, last = (axis_of(axis, len(bottoms[0])) for axis in (param.axis, param.end_axis))
    if last < first:
        raise ValueError(f"end_axis {param.end_axis} is before axis {param.axis}")
    return [(*bottoms[0][:first], count(bottoms[0][first : last + 1]), *bottoms[0][last + 1 :])], []


def _reshape(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.reshape_param
    wanted = list(param.shape.dim)
    if wanted.count(-1) > 1 or any(dim < -1 for dim in wanted):
        raise ValueError("has more than one -1, or another negative dimension, in reshape_param")
    if bottoms[0] is None:
        return [None], []
    shape = bottoms[0]
    first = axis_of(param.axis, len(shape), end=True)
    last = len(shape) if param.num_axes == -1 else first + param.num_axes
    if param.num_axes < -1 or last > len(shape):
        raise ValueError(f"num_axes {param.num_axes} goes beyond its bottom of {show(shape)}")
    if any(dim == 0 and first + place >= len(shape) for place, dim in enumerate(wanted)):
        raise ValueError(f"copies a dimension that its bottom of {show(shape)} does not have")
    middle: list[Dim] = [shape[first + place] if dim == 0 else dim for place, dim in enumerate(wanted)]
    there = count(shape[first:last])
    if -1 in middle:
        others = count(dim for dim in middle if dim != -1)
        if there is not None and others is not None and (others == 0 or there % others):
            raise ValueError(f"cannot make {show(shape)} into dimensions of {others} and what is left")
        left = None if there is None or others is None else there // others
        middle[middle.index(-1)] = left
    elif differ(count(middle), there):
        raise ValueError(f"makes {count(middle)} numbers of the {there} in {show(shape)}")
    return [(*shape[:first], *middle, *shape[last:])], []


def _softmax(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    if bottoms[0] is not None:
        axis_of(planned.layer.softmax_param.axis, len(bottoms[0]))
    return [bottoms[0]], []


def _arg_max(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.argmax_param
    if param.top_k < 1:
        raise ValueError("needs a top_k above 0")
    shape = bottoms[0]
    if shape is None:
        return [None], []
    if param.HasField("axis"):
        axis = axis_of(param.axis, len(shape))
        _check_top_k(param.top_k, shape[axis])
        return [(*shape[:axis], param.top_k, *shape[axis + 1 :])], []
    if not shape:
        raise ValueError("ArgMax needs a bottom of one dimension or more, and its own is 1 number")
    _check_top_k(param.top_k, count(shape[1:]))
    middle = 2 if param.out_max_val else 1
    return [(shape[0], middle, param.top_k, *[1] * (len(shape) - 3))], []


def _check_top_k(top_k: int, classes: Dim) -> None:
    if classes is not None and top_k > classes:
        raise ValueError(f"top_k {top_k} is more than the {classes} classes of its bottom")


def _softmax_loss(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    _check_labels(planned.layer.softmax_param.axis, bottoms)
    tops: list[Shape] = [(), bottoms[0]]
    return tops[: len(planned.tops)], []


def _accuracy(planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    param = planned.layer.accuracy_param
    if param.top_k < 1:
        raise ValueError("needs a top_k above 0")
    classes = _check_labels(param.axis, bottoms)
    _check_top_k(param.top_k, classes)
    tops: list[Shape] = [(), (classes,)]
    return tops[: len(planned.tops)], []


def _check_labels(axis: int, bottoms: list[Shape]) -> Dim:
    """How many classes there are; raises ValueError when there is not one label for each prediction."""
    scores, labels = bottoms
    if scores is None:
        return None
    place = axis_of(axis, len(scores))
    if labels is not None:
        predictions, given = count(scores[:place] + scores[place + 1 :]), count(labels)
        if differ(predictions, given):
            raise ValueError(
                f"has {given} labels for {predictions} predictions: its bottoms are {show(scores)} and {show(labels)}"
            )
    return scores[place]


def _same_count(_planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    if all(shape is not None for shape in bottoms) and differ(*(count(shape or ()) for shape in bottoms)):
        raise ValueError(f"its bottoms differ in size: {', '.join(map(show, bottoms))}")
    return [()], []


def _hinge_loss(_planned: PlannedLayer, bottoms: list[Shape]) -> Result:
    scores, labels = bottoms
    if scores and labels is not None and differ(scores[0], count(labels)):
        raise ValueError(f"needs one label for each of its {scores[0]} items, and has {show(labels)}")
    return [()], []


def _silence(_planned: PlannedLayer, _bottoms: list[Shape]) -> Result:
    return [], []


_RULES: dict[str, Callable[[PlannedLayer, list[Shape]], Result]] = {
    **dict.fromkeys(("ReLU", "ELU", "Sigmoid", "TanH", "BNLL", "AbsVal", "Power", "Exp", "Log", "Threshold"), _same),
    "Accuracy": _accuracy,
    "ArgMax": _arg_max,
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Dropout": _dropout,
    "Eltwise": _eltwise,
    "EuclideanLoss": _same_count,
    "Flatten": _flatten,
    "HingeLoss": _hinge_loss,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "PReLU": _prelu,
    "Pooling": _pooling,
    "Reshape": _reshape,
    "Scale": _scale,
    "SigmoidCrossEntropyLoss": _same_count,
    "Silence": _silence,
    "Slice": _slice,
    "Softmax": _softmax,
    "SoftmaxWithLoss": _softmax_loss,
    "Split": _split,
}
