"""Published nets, compiled: what runs has the shapes that were planned, and every blob learns."""

import math
from pathlib import Path

import pytest
import torch

from tuning_service.caffe.compile import Net
from tuning_service.caffe.net import plan_net
from tuning_service.caffe.schema import TEST, TRAIN
from tuning_service.caffe.shapes import infer_shapes, parameter_count
from tuning_service.caffe.text import read_net

NETS = Path(__file__).parent / "nets"


def small(name, item, phase):
    """The net of that file on two items, with its shapes."""
    message = read_net((NETS / f"{name}.prototxt").read_text())
    for layer in message.layer:
        if layer.type == "Data":
            layer.data_param.batch_size = 2
    plan = plan_net(message, phase)
    return infer_shapes(plan, {one.name: (item, ()) for one in plan if one.is_data})


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("lenet", (1, 28, 28)),
        ("cifar10_quick", (3, 32, 32)),
        ("cifar10_full", (3, 32, 32)),
        ("googlenet", (3, 256, 256)),
    ],
)
def test_published_nets(name, item):
    torch.manual_seed(1)
    shaped = small(name, item, TRAIN)
    net = Net(shaped, training=True, generator=torch.Generator().manual_seed(1))
    assert sum(one.parameter.numel() for one in net.learnable) == parameter_count(shaped)
    planned = {one.planned.name: one.tops for one in shaped}
    wrong = []

    def look(layer, _bottoms, made):
        tops = made if isinstance(made, tuple) else (made,)
        if [tuple(top.shape) for top in tops] != list(planned[layer.setting.name]):
            wrong.append(layer.setting.name)

    for layer in net.layers:
        layer.register_forward_hook(look)
    data = next(one for one in shaped if one.planned.is_data)
    images, labels = (torch.randn(shape) if len(shape) > 1 else torch.ones(shape) for shape in data.tops)
    loss, _ = net(dict(zip(data.planned.tops, (images, labels), strict=True)))
    assert wrong == []
    assert math.isfinite(loss.item())
    loss.backward()
    assert all(one.parameter.grad is not None for one in net.learnable)
    tested = Net(small(name, item, TEST), training=False, generator=torch.Generator(), share=net)
    trained = {id(one.parameter) for one in net.learnable}
    assert all(id(blob) in trained for blobs in tested.blobs.values() for blob in blobs)
