"""Shapes of all blobs and parameters of a planned net, before anything of it is built."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning_service.caffe import data_rules, layer_rules
from tuning_service.caffe.dims import Shape, count, show
from tuning_service.caffe.net import NetError, PlannedLayer
from tuning_service.caffe.schema import ParamSpec

# The shapes of one item for each top of a data layer, before cropping and without the batch: `{"data": ((3, 32, 32),
# ())}`. None where an item's shape is not known.
DataShapes = Mapping[str, Sequence[Shape]]
# Numbers in one blob, as in Caffe, which counts them in an int.
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One parameter of a layer, or, as in BatchNorm, one that is kept but not learned (`lr_mult` 0)."""

    shape: tuple[int, ...] | None  # None when the net's inputs are not known well enough
    lr_mult: float
    decay_mult: float
    filler: Any  # FillerParameter
    owner: tuple[str, int]  # layer and index of the blob that this is: another's when shared by name

    @property
    def size(self) -> int | None:
        """How many numbers it holds."""
        return None if self.shape is None else math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapedLayer:
    """A planned layer with its shapes; a dimension that only the data can tell is None, as is a shape of unknown rank.

    Nothing is unknown when `infer_shapes` was told the shapes of all data layers.
    """

    planned: PlannedLayer
    bottoms: tuple[Shape, ...]
    tops: tuple[Shape, ...]
    blobs: tuple[Blob, ...]


def infer_shapes(plan: Sequence[PlannedLayer], data: DataShapes | None = None) -> tuple[ShapedLayer, ...]:
    """The layers of `plan` with their shapes, in the same order.

    `data` is needed for what a net file does not say: items of Data and HDF5Data, and of ImageData without new_height.
    Without it such dimensions stay unknown, and what follows from the others is checked all the same.

    Raises:
        NetError: naming the layer whose settings are wrong or do not fit its bottoms: a kernel larger than its input,
            channels that its groups do not divide, columns of different sizes that are joined, a blob that is larger
            than Caffe's can be.
    """
    known: dict[str, Shape] = {}
    owners: dict[str, tuple[str, int, Blob]] = {}
    shaped = []
    for planned in plan:
        bottoms = tuple(known[blob] for blob in planned.bottoms)
        params: list[layer_rules.Param] = []
        try:
            if planned.is_data:
                tops = data_rules.top_shapes(planned, (data or {}).get(planned.name))
            else:
                tops, params = layer_rules.shapes(planned, bottoms)
            _check_sizes(tops, params)
        except ValueError as error:
            raise NetError(planned.name, str(error)) from error
        known.update(zip(planned.tops, tops, strict=True))
        blobs = tuple(_blobs(planned, params, owners))
        shaped.append(ShapedLayer(planned=planned, bottoms=bottoms, tops=tuple(tops), blobs=blobs))
    return tuple(shaped)


def parameter_count(shaped: Sequence[ShapedLayer]) -> int | None:
    """How many numbers the net learns or keeps, each once; None when a shape is not known."""
    sizes = [
        blob.size
        for layer in shaped
        for index, blob in enumerate(layer.blobs)
        if blob.owner == (layer.planned.name, index)
    ]
    return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)


def _check_sizes(tops: Sequence[Shape], params: Sequence[layer_rules.Param]) -> None:
    """Raises ValueError for what is too large even if each unknown dimension is 1."""
    for what, shapes in (("a top", tops), ("a parameter", [param.shape for param in params])):
        for shape in shapes:
            if math.prod(dim for dim in shape or () if dim is not None) > _MOST:
                raise ValueError(f"has {what} of {show(shape)} numbers; a blob has {_MOST:,} at most")


def _blobs(
    planned: PlannedLayer, params: Sequence[layer_rules.Param], owners: dict[str, tuple[str, int, Blob]]
) -> list[Blob]:
    specs = list(planned.layer.param)
    if len(specs) > len(params):
        raise NetError(planned.name, f"has {len(specs)} param fields and {len(params)} parameters")
    blobs = []
    for index, param in enumerate(params):
        spec = specs[index] if index < len(specs) else ParamSpec()
        blob = Blob(
            shape=param.shape,
            lr_mult=spec.lr_mult if param.learned else 0.0,
            decay_mult=spec.decay_mult if param.learned else 0.0,
            filler=param.filler,
            owner=(planned.name, index),
        )
        blobs.append(_shared(planned, spec, blob, owners) if spec.name else blob)
    return blobs


def _shared(planned: PlannedLayer, spec: Any, blob: Blob, owners: dict[str, tuple[str, int, Blob]]) -> Blob:
    if spec.name not in owners:
        owners[spec.name] = (*blob.owner, blob)
        return blob
    layer, index, first = owners[spec.name]
    same = first.size == blob.size if spec.share_mode == ParamSpec.PERMISSIVE else first.shape == blob.shape
    if first.shape is not None and blob.shape is not None and not same:
        problem = f"shares the parameter {spec.name} with layer {layer}, which has {show(first.shape)}"
        raise NetError(planned.name, f"{problem} where this one has {show(blob.shape)}")
    # Multipliers belong to the one parameter: its first layer sets them, and who says others is refused.
    multipliers = []
    for name in ("lr_mult", "decay_mult"):
        if spec.HasField(name) and getattr(spec, name) != getattr(first, name):
            raise NetError(planned.name, f"gives the parameter {spec.name} another {name} than layer {layer}")
        multipliers.append(getattr(first, name))
    return Blob(
        shape=blob.shape,
        lr_mult=multipliers[0],
        decay_mult=multipliers[1],
        filler=first.filler,
        owner=(layer, index),
    )


__all__ = ["Blob", "DataShapes", "Shape", "ShapedLayer", "count", "infer_shapes", "parameter_count"]
