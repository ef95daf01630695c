"""A planned net as a torch module: its layers in order, on blobs that are known by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.data import LabelRange
from tuning_service.caffe.dims import axis_of
from tuning_service.caffe.fillers import fill
from tuning_service.caffe.layers import Layer, Setting, make_layer
from tuning_service.caffe.net import net_outputs
from tuning_service.caffe.shapes import Blob, ShapedLayer

# What makes a new tensor that its own gradient does not need: the next layer may overwrite it.
_OVERWRITABLE = frozenset({"Convolution", "Deconvolution", "InnerProduct", "Scale", "Pooling"})
_WITH_CLASSES = {"SoftmaxWithLoss": "softmax_param", "Accuracy": "accuracy_param", "HingeLoss": ""}


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """One blob that the solver may change, with its multipliers."""

    parameter: Tensor
    lr_mult: float
    decay_mult: float


class Output(NamedTuple):
    """A blob that no layer uses; `weight` is its loss_weight, 0 for what is only shown."""

    name: str
    weight: float


class _Step(NamedTuple):
    layer: Layer
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    weights: tuple[tuple[int, float], ...]  # (index of a top, loss_weight)
    cut: tuple[bool, ...]  # bottoms through which no gradient goes back; () for none


class Net(nn.Module):
    """Called with the tops of its data layers; returns the loss and the outputs, in the order of `outputs`.

    `blobs` has each layer's blobs in Caffe's order, `learnable` each blob once, in the order of Caffe's solvers.
    """

    def __init__(
        self,
        shaped: Sequence[ShapedLayer],
        *,
        training: bool,
        generator: Generator,
        device: torch.device | None = None,
        share: "Net | None" = None,
    ) -> None:
        """`share`: a net whose blobs are used for layers of the same name, as a test net uses the trained ones.

        Raises:
            CheckFailed: naming the layer that cannot be made, or shared.
        """
        super().__init__()
        self.shaped = tuple(shaped)
        self.device = device or torch.device("cpu")
        self.blobs: dict[str, list[Tensor]] = {}
        self.learnable: list[Learned] = []
        self.kinds = {one.planned.name: one.planned.type for one in shaped}
        self._training = training
        self.layers = nn.ModuleList()
        self._steps: list[_Step] = []
        for one in shaped:
            if not one.planned.is_data:
                self._add(one, generator, share)
        self._overwrite()
        planned = [one.planned for one in shaped]
        weights = {top: w for one in planned for top, w in zip(one.tops, one.loss_weights, strict=True)}
        self.outputs = tuple(Output(name, weights[name]) for name in net_outputs(planned))
        self.inputs = tuple(top for one in planned if one.is_data for top in one.tops)
        self.has_loss = any(step.weights for step in self._steps)
        self.to(self.device)

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor | None, list[Tensor]]:
        values = dict(inputs)
        loss: Tensor | None = None
        for layer, bottoms, tops, weights, cut in self._steps:
            given = [values[name] for name in bottoms]
            if cut:
                given = [x.detach() if no else x for x, no in zip(given, cut, strict=True)]
            made = layer(*given)
            if isinstance(made, tuple):
                values.update(zip(tops, made, strict=True))
            else:
                values[tops[0]] = made
            for index, weight in weights:
                top = values[tops[index]]
                part = top if top.dim() == 0 else top.sum()
                part = part if weight == 1 else part * weight
                loss = part if loss is None else loss + part
        return loss, [values[output.name] for output in self.outputs]

    def blob_names(self) -> dict[str, tuple[str, ...]]:
        """What each layer calls its blobs, in the order of `blobs`."""
        return {step.layer.setting.name: step.layer.BLOBS for step in self._steps}

    def label_ranges(self) -> dict[str, LabelRange]:
        """Of the tops of data layers that are labels, as they are."""
        given = {top for one in self.shaped if one.planned.is_data for top in one.planned.tops}
        found: dict[str, LabelRange] = {}
        for one in self.shaped:
            planned = one.planned
            if planned.is_data:
                continue
            given -= set(planned.tops)
            if planned.type not in _WITH_CLASSES or planned.bottoms[1] not in given:
                continue
            part = _WITH_CLASSES[planned.type]
            shape = _known(one.bottoms[0])
            classes = shape[axis_of(getattr(planned.layer, part).axis if part else 1, len(shape))]
            message = planned.layer.accuracy_param if planned.type == "Accuracy" else planned.layer.loss_param
            ignored = message.ignore_label if message.HasField("ignore_label") else None
            found.setdefault(planned.bottoms[1], LabelRange(classes, ignored, planned.name))
        return found

    def _add(self, one: ShapedLayer, generator: Generator, share: "Net | None") -> None:
        planned = one.planned
        setting = Setting(
            name=planned.name,
            message=planned.layer,
            bottoms=tuple(_known(shape) for shape in one.bottoms),
            tops=tuple(_known(shape) for shape in one.tops),
            training=self._training,
        )
        layer = make_layer(setting)
        self.layers.append(layer)
        blobs = self.blobs.setdefault(planned.name, [])
        for index, blob in enumerate(one.blobs):
            blobs.append(self._blob(planned.name, index, blob, generator, share))
            layer.adopt(index, blobs[-1])
        weights = tuple((i, w) for i, w in enumerate(planned.loss_weights) if w)
        down = tuple(planned.layer.propagate_down)
        check(
            len(down) in {0, len(planned.bottoms)},
            f'layer "{planned.name}" has {len(down)} propagate_down fields and {len(planned.bottoms)} bottoms',
        )
        cut = tuple(not go for go in down) if not all(down) else ()
        self._steps.append(_Step(layer, planned.bottoms, planned.tops, weights, cut))

    def _blob(self, layer: str, index: int, blob: Blob, generator: Generator, share: "Net | None") -> Tensor:
        shape = _known(blob.shape)
        if share is not None and index < len(share.blobs.get(layer, ())):
            found = share.blobs[layer][index]
            check(
                tuple(found.shape) == shape,
                f'layer "{layer}" has a blob of shape {shape} in one net and {tuple(found.shape)} in another',
            )
            return found
        if blob.owner != (layer, index):
            owner = self.blobs[blob.owner[0]][blob.owner[1]]
            return owner if tuple(owner.shape) == shape else owner.view(shape)
        try:
            made = fill(blob.filler, shape, generator).to(self.device)
        except CheckFailed as error:
            raise CheckFailed(f'layer "{layer}": {error}') from error
        learned = self._training and blob.lr_mult != 0
        tensor = nn.Parameter(made) if learned else made
        self.learnable.append(Learned(tensor, blob.lr_mult, blob.decay_mult))
        return tensor

    def _overwrite(self) -> None:
        """Let layers work in place where the value that is lost is needed by nobody."""
        made_by: dict[str, int] = {}
        used: dict[str, int] = {}
        for number, step in enumerate(self._steps):
            for name in step.bottoms:
                used[name] = used.get(name, 0) + 1
            maker = made_by.get(step.bottoms[0]) if step.bottoms else None
            if (
                step.layer.CAN_WORK_INPLACE
                and step.bottoms == step.tops
                and maker is not None
                and self._steps[maker].layer.setting.message.type in _OVERWRITABLE
                and used[step.bottoms[0]] == 1
                and not self._weighs(maker)
            ):
                step.layer.inplace = True
            for name in step.tops:
                made_by[name], used[name] = number, 0

    def _weighs(self, number: int) -> bool:
        return bool(self._steps[number].weights)


def _known(shape: Any) -> tuple[int, ...]:
    if shape is None or None in shape:
        raise CheckFailed("a shape of the net is not known: only its data can tell, and there are none")
    return tuple(shape)
