"""Reads a net and its weights, leaves out what only training needs, and writes the rest."""

from pathlib import Path
from typing import Any

import torch

from tuning_service.caffe import log, snapshot, text
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.compile import Net
from tuning_service.caffe.data import Origin, make_reader
from tuning_service.caffe.export.graph import Graph
from tuning_service.caffe.export.operators import OPERATORS
from tuning_service.caffe.net import PlannedLayer, plan_net
from tuning_service.caffe.nets import load_net
from tuning_service.caffe.schema import TEST, LayerParameter, NetParameter
from tuning_service.caffe.shapes import ShapedLayer, infer_shapes

# What each loss leaves behind: the layer that makes an answer of its first bottom.
_ANSWERS = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
_SCORES = frozenset({"Accuracy", "Silence", "EuclideanLoss", "HingeLoss", *_ANSWERS})


def export(model: Path, weights: Path, onnx_file: str, torch_file: str, shape: tuple[int, ...] = ()) -> None:
    """Write the net as it answers: phase TEST, without data and scores; a loss becomes its softmax or sigmoid.

    `shape` is that of one item of the data; () has the net's own data looked at.

    Raises:
        CheckFailed, NetError: the net cannot be read, does not fit its weights, or has a layer that ONNX lacks.
    """
    message = load_net(model)
    shaped = infer_shapes(plan_net(message, TEST), _items(message, model.parent, shape))
    net = Net(shaped, training=False, generator=torch.Generator())
    snapshot.copy_weights(snapshot.load_weights(weights), net, str(weights))
    if torch_file:
        _write_torch(Path(torch_file), message, net)
    if onnx_file:
        kept = answering(message)
        answers = infer_shapes(plan_net(kept, TEST), _items(kept, model.parent, shape))
        _write_onnx(Path(onnx_file), message.name, answers, net)


def _items(message: Any, folder: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for one in plan_net(message, TEST):
        if not one.is_data:
            continue
        if shape:
            items[one.name] = (shape, *[()] * (len(one.tops) - 1))
        elif reader := make_reader(one.layer, one.name, Origin(folder=folder, training=False, seed=0)):
            items[one.name] = reader.items
    return items


def answering(message: Any) -> Any:
    """The net without scores, and with answers where it has losses."""
    made = NetParameter(name=message.name)
    answered: set[str] = set()
    for one in plan_net(message, TEST):
        if one.type in _ANSWERS and one.bottoms[0] not in answered:
            answered.add(one.bottoms[0])
            answer = LayerParameter(name=one.name, type=_ANSWERS[one.type], bottom=one.bottoms[:1])
            answer.softmax_param.CopyFrom(one.layer.softmax_param)
            answer.top.append("prob" if len(answered) == 1 else f"{one.name}_prob")
            made.layer.append(answer)
        elif one.type not in _SCORES:
            layer = made.layer.add()
            layer.CopyFrom(one.layer)
            layer.name = one.name
            del layer.include[:], layer.exclude[:]
    return made


def _write_torch(path: Path, message: Any, net: Net) -> None:
    names = net.blob_names()
    kept = {
        "net": text.write_text(message),
        "blobs": {layer: [blob.detach() for blob in blobs] for layer, blobs in net.blobs.items() if blobs},
        "state_dict": {
            f"{layer}.{names[layer][index]}": blob.detach()
            for layer, blobs in net.blobs.items()
            for index, blob in enumerate(blobs)
        },
    }
    try:
        torch.save(kept, path)
    except (OSError, RuntimeError) as error:
        raise CheckFailed(f"{path} cannot be written: {error}") from error
    log.info("export", f"Wrote a torch checkpoint to {path}")


def _write_onnx(path: Path, name: str, shaped: tuple[ShapedLayer, ...], net: Net) -> None:
    try:
        import onnx
    except ImportError:
        raise CheckFailed("an ONNX export needs the Python package onnx, which is not installed here") from None
    graph = Graph(name or "net", [one.planned for one in shaped])
    used = {blob for one in shaped for blob in one.planned.bottoms}
    for one in shaped:
        planned = one.planned
        if planned.is_data:
            for top, shape in zip(planned.tops, one.tops, strict=True):
                if top in used:
                    graph.give(top, tuple(dim or 1 for dim in shape or ()))
            continue
        _check_known(planned)
        arrays = [blob.detach().cpu().numpy() for blob in net.blobs.get(planned.name, ())]
        graph.enter(planned)
        OPERATORS[planned.type](graph, one, arrays)
        graph.leave(planned, one.tops)
    made = graph.model()
    onnx.checker.check_model(made)
    try:
        onnx.save(made, str(path))
    except OSError as error:
        raise CheckFailed(f"{path} cannot be written: {error.strerror or error}") from error
    log.info("export", f"Wrote ONNX to {path}: inputs {', '.join(graph.inputs)}; outputs {', '.join(graph.outputs)}")


def _check_known(planned: PlannedLayer) -> None:
    check(planned.type in OPERATORS, f'layer "{planned.name}": {planned.type} cannot be written as ONNX')
