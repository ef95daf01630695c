"""Shapes of what the data layers put out."""

from collections.abc import Callable, Sequence
from typing import Any

from tuning_service.caffe.dims import Shape, show
from tuning_service.caffe.net import PlannedLayer


def top_shapes(planned: PlannedLayer, items: Sequence[Shape] | None) -> list[Shape]:
    """For each top, the shape of a batch; `items` is what `DataShapes` has of the layer. Raises ValueError."""
    if items is not None and len(items) < len(planned.tops):
        raise ValueError(f"has {len(planned.tops)} tops, and its data has {len(items)}")
    return _RULES[planned.type](planned, items)


def transformed(layer: Any, item: Shape) -> Shape:
    """What `transform_param` makes of an item of channels x height x width. Raises ValueError."""
    param = layer.transform_param
    if param.force_color and param.force_gray:
        raise ValueError("has both force_color and force_gray in transform_param")
    if len(param.mean_value) and param.HasField("mean_file"):
        raise ValueError("has both mean_file and mean_value in transform_param")
    channels, height, width = item if item is not None and len(item) == 3 else (None, None, None)
    if item is not None and len(item) != 3:
        if param.crop_size:
            raise ValueError(f"crop_size needs items of channels x height x width, and these are {show(item)}")
        return item
    if param.force_color:
        channels = 3
    elif param.force_gray:
        channels = 1
    means = len(param.mean_value)
    if means > 1 and channels is not None and means != channels:
        raise ValueError(f"has {means} mean_value fields for {channels} channels; give one, or one for each channel")
    if param.crop_size:
        if min(height or param.crop_size, width or param.crop_size) < param.crop_size:
            raise ValueError(f"crop_size {param.crop_size} is larger than its images of {height} x {width}")
        height = width = param.crop_size
    return (channels, height, width)


def _input(planned: PlannedLayer, _items: Sequence[Shape] | None) -> list[Shape]:
    shapes = planned.layer.input_param.shape
    if len(shapes) not in {1, len(planned.tops)}:
        raise ValueError(f"has {len(shapes)} shape fields in input_param for {len(planned.tops)} tops")
    found: list[Shape] = [_dims(list(shape.dim)) for shape in shapes]
    return found * len(planned.tops) if len(found) == 1 else found


def _data(planned: PlannedLayer, items: Sequence[Shape] | None) -> list[Shape]:
    batch = _batch("data_param", planned.layer.data_param.batch_size)
    item = transformed(planned.layer, items[0] if items else None)
    # Items that are no images are rows of numbers, which no crop or colour was asked of.
    return [(batch, *(item or ())), *_labels(planned, items, batch)]


def _image_data(planned: PlannedLayer, items: Sequence[Shape] | None) -> list[Shape]:
    param = planned.layer.image_data_param
    if bool(param.new_height) != bool(param.new_width):
        raise ValueError("has one of new_height and new_width in image_data_param; give both, or neither")
    batch = _batch("image_data_param", param.batch_size)
    item: Shape = (3 if param.is_color else 1, param.new_height or None, param.new_width or None)
    if items and items[0] is not None and not param.new_height:
        item = items[0]
    return [(batch, *(transformed(planned.layer, item) or ())), *_labels(planned, items, batch)]


def _hdf5_data(planned: PlannedLayer, items: Sequence[Shape] | None) -> list[Shape]:
    if planned.layer.HasField("transform_param"):
        raise ValueError("HDF5Data does not take transform_param")
    batch = _batch("hdf5_data_param", planned.layer.hdf5_data_param.batch_size)
    items = items or [None] * len(planned.tops)
    return [None if item is None else (batch, *item) for item in items[: len(planned.tops)]]


def _memory_data(planned: PlannedLayer, _items: Sequence[Shape] | None) -> list[Shape]:
    param = planned.layer.memory_data_param
    sizes = _dims([param.batch_size, param.channels, param.height, param.width])
    return [(sizes[0], *(transformed(planned.layer, sizes[1:]) or ())), (sizes[0],)]


def _dummy_data(planned: PlannedLayer, _items: Sequence[Shape] | None) -> list[Shape]:
    param = planned.layer.dummy_data_param
    fillers, tops = len(param.data_filler), len(planned.tops)
    if fillers not in {0, 1, tops}:
        raise ValueError(f"has {fillers} data_filler fields for {tops} tops; give none, one, or one for each")
    shapes = [list(shape.dim) for shape in param.shape]
    if not shapes:
        shapes = [list(dims) for dims in zip(*_four(param), strict=True)]
    if len(shapes) not in {1, tops}:
        raise ValueError(f"has {len(shapes)} shapes in dummy_data_param for {tops} tops; give one, or one for each")
    found: list[Shape] = [_dims(dims) for dims in shapes]
    return found * tops if len(found) == 1 else found


def _four(param: Any) -> list[list[int]]:
    sizes = [list(param.num), list(param.channels), list(param.height), list(param.width)]
    if len({len(size) for size in sizes}) != 1:
        raise ValueError("gives num, channels, height and width of dummy_data_param different numbers of times")
    return sizes


def _labels(planned: PlannedLayer, items: Sequence[Shape] | None, batch: int) -> list[Shape]:
    if len(planned.tops) == 1:
        return []
    label = items[1] if items else ()
    return [(batch, *(label or ()))]


def _batch(field: str, size: int) -> int:
    if size < 1:
        raise ValueError(f"needs a batch_size above 0 in {field}")
    return size


def _dims(dims: Sequence[int]) -> tuple[int, ...]:
    if any(dim < 1 for dim in dims):
        raise ValueError(f"has the shape {show(tuple(dims))}; each dimension must be above 0")
    return tuple(dims)


_RULES: dict[str, Callable[[PlannedLayer, Sequence[Shape] | None], list[Shape]]] = {
    "Input": _input,
    "Data": _data,
    "ImageData": _image_data,
    "HDF5Data": _hdf5_data,
    "MemoryData": _memory_data,
    "DummyData": _dummy_data,
}
