"""Which layers of a net take part in a phase, and which blobs go from one to the next."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tuning_service.caffe.schema import TEST, TRAIN

_MANY = 10**6
AUTOMATIC = "(automatic)"  # the top of a loss layer that names none


class NetError(ValueError):
    """A net that cannot be built; `layer` is the name of the layer at fault, "" where there is none."""

    def __init__(self, layer: str, problem: str) -> None:
        super().__init__(f"layer {layer}: {problem}" if layer else problem)
        self.layer = layer
        self.problem = problem


class _Arity(NamedTuple):
    least_bottoms: int
    most_bottoms: int
    least_tops: int
    most_tops: int


_ONE = _Arity(1, 1, 1, 1)
_EACH = _Arity(1, _MANY, 1, _MANY)  # as many tops as bottoms
_LOSS = _Arity(2, 2, 1, 1)
# Every type of layer that we know.
ARITIES: dict[str, _Arity] = {
    "Input": _Arity(0, 0, 1, _MANY),
    "Data": _Arity(0, 0, 1, 2),
    "ImageData": _Arity(0, 0, 2, 2),
    "HDF5Data": _Arity(0, 0, 1, _MANY),
    "MemoryData": _Arity(0, 0, 2, 2),
    "DummyData": _Arity(0, 0, 1, _MANY),
    "Convolution": _EACH,
    "Deconvolution": _EACH,
    "Pooling": _ONE,
    "InnerProduct": _ONE,
    "LRN": _ONE,
    "BatchNorm": _ONE,
    "Scale": _Arity(1, 2, 1, 1),
    "Bias": _Arity(1, 2, 1, 1),
    "ReLU": _ONE,
    "PReLU": _ONE,
    "ELU": _ONE,
    "Sigmoid": _ONE,
    "TanH": _ONE,
    "BNLL": _ONE,
    "AbsVal": _ONE,
    "Power": _ONE,
    "Exp": _ONE,
    "Log": _ONE,
    "Threshold": _ONE,
    "Dropout": _ONE,
    "Concat": _Arity(1, _MANY, 1, 1),
    "Slice": _Arity(1, 1, 1, _MANY),
    "Split": _Arity(1, 1, 1, _MANY),
    "Eltwise": _Arity(2, _MANY, 1, 1),
    "Flatten": _ONE,
    "Reshape": _ONE,
    "Softmax": _ONE,
    "ArgMax": _ONE,
    "SoftmaxWithLoss": _Arity(2, 2, 1, 2),
    "SigmoidCrossEntropyLoss": _LOSS,
    "EuclideanLoss": _LOSS,
    "HingeLoss": _LOSS,
    "Accuracy": _Arity(2, 2, 1, 2),
    "Silence": _Arity(1, _MANY, 0, 0),
}
DATA_TYPES = frozenset({"Input", "Data", "ImageData", "HDF5Data", "MemoryData", "DummyData"})
# Layers whose top may have the name of their bottom.
IN_PLACE_TYPES = frozenset(
    {"ReLU", "PReLU", "ELU", "Sigmoid", "TanH", "BNLL", "AbsVal", "Power", "Exp", "Log", "Threshold", "Dropout"}
    | {"BatchNorm", "Scale", "Bias", "Softmax", "Flatten", "Reshape", "Split", "Eltwise"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLayer:
    """A layer that takes part.

    A blob is known by its name, and a layer that works in place makes a new value of that name: whoever runs the layers
    in their order, with a dictionary from names to values, gets each bottom right. Several may use one blob.
    """

    name: str  # unique within the plan
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    loss_weights: tuple[float, ...]  # one for each top; above zero, it is part of what is minimised
    layer: Any  # its LayerParameter

    @property
    def is_data(self) -> bool:
        """True for a source of blobs."""
        return self.type in DATA_TYPES


def plan_net(net: Any, phase: int, level: int = 0, stages: Collection[str] = ()) -> tuple[PlannedLayer, ...]:
    """The layers of `net` (as `read_net` gives it) that take part in that state, in their order.

    Raises:
        NetError: naming the layer whose type we lack, whose bottom no earlier layer makes, whose top another one makes
            too, or which has more or fewer of them than its type allows.
    """
    planned: list[PlannedLayer] = []
    made: dict[str, str] = {}  # blob -> the layer that made it first
    for index, layer in enumerate(net.layer):
        name = layer.name or f"number {index + 1}"
        if _takes_part(name, layer, phase, level, stages):
            planned.append(_plan(name, layer, made))
    for name, count in Counter(one.name for one in planned).items():
        if count > 1:
            raise NetError(name, f"{count} layers have this name; give each its own")
    if not planned:
        raise NetError("", f"the net has no layers in phase {'TEST' if phase == TEST else 'TRAIN'}")
    return tuple(planned)


def net_outputs(plan: Sequence[PlannedLayer]) -> tuple[str, ...]:
    """The blobs that no layer uses, which is what a net puts out: in alphabetical order, as Caffe numbers them."""
    left: set[str] = set()
    for planned in plan:
        left -= set(planned.bottoms)
        left |= set(planned.tops)
    return tuple(sorted(left))


def _takes_part(name: str, layer: Any, phase: int, level: int, stages: Collection[str]) -> bool:
    if layer.include and layer.exclude:
        raise NetError(name, "has both include and exclude; keep one of them")
    if layer.include:
        return any(_meets(rule, phase, level, stages) for rule in layer.include)
    return not any(_meets(rule, phase, level, stages) for rule in layer.exclude)


def _meets(rule: Any, phase: int, level: int, stages: Collection[str]) -> bool:
    return (
        (not rule.HasField("phase") or rule.phase == phase)
        and (not rule.HasField("min_level") or level >= rule.min_level)
        and (not rule.HasField("max_level") or level <= rule.max_level)
        and all(stage in stages for stage in rule.stage)
        and not any(stage in stages for stage in rule.not_stage)
    )


def _plan(name: str, layer: Any, made: dict[str, str]) -> PlannedLayer:
    if not layer.type:
        raise NetError(name, "has no type")
    if layer.type not in ARITIES:
        near = next((known for known in ARITIES if known.lower() == layer.type.lower()), "")
        raise NetError(name, f"type {layer.type} is not supported{f'; did you mean {near}?' if near else ''}")
    bottoms, tops = tuple(layer.bottom), tuple(layer.top)
    if layer.type.endswith("Loss") and not tops:
        tops = (AUTOMATIC if AUTOMATIC not in made else f"{AUTOMATIC} {name}",)
    _check_counts(name, layer.type, bottoms, tops)
    for blob in bottoms:
        if blob not in made:
            raise NetError(name, f"bottom {blob} is the top of no layer before it")
    for index, blob in enumerate(tops):
        in_place = layer.type in IN_PLACE_TYPES and index < len(bottoms) and bottoms[index] == blob
        if not in_place and (blob in made or blob in tops[:index]):
            where = f"of layer {made[blob]} too" if made.get(blob, name) != name else "more than once"
            raise NetError(name, f"{blob} is a top {where}; give one of them another name")
        made.setdefault(blob, name)
    return PlannedLayer(
        name=name, type=layer.type, bottoms=bottoms, tops=tops, loss_weights=_weights(name, layer, tops), layer=layer
    )


def _check_counts(name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str]) -> None:
    arity = ARITIES[kind]
    for what, count, least, most in (
        ("bottom", len(bottoms), arity.least_bottoms, arity.most_bottoms),
        ("top", len(tops), arity.least_tops, arity.most_tops),
    ):
        if not least <= count <= most:
            wanted = str(least) if least == most else f"at least {least}" if most == _MANY else f"{least} to {most}"
            raise NetError(name, f"has {count} {what} fields, and {kind} takes {wanted}")
    if arity is _EACH and len(bottoms) != len(tops):
        raise NetError(name, f"has {len(bottoms)} bottom and {len(tops)} top fields, and {kind} takes as many of both")


def _weights(name: str, layer: Any, tops: Sequence[str]) -> tuple[float, ...]:
    given = tuple(layer.loss_weight)
    if given and len(given) != len(tops):
        raise NetError(
            name, f"has {len(given)} loss_weight fields and {len(tops)} tops; give one for each top, or none"
        )
    default = [1.0 if layer.type.endswith("Loss") and index == 0 else 0.0 for index in range(len(tops))]
    return given or tuple(default)


__all__ = ["ARITIES", "DATA_TYPES", "TEST", "TRAIN", "NetError", "PlannedLayer", "net_outputs", "plan_net"]
