"""Nets from text, for the tests of the runtime."""

import numpy as np
import torch

from tuning_service.caffe.compile import Net
from tuning_service.caffe.net import plan_net
from tuning_service.caffe.schema import TEST, TRAIN
from tuning_service.caffe.shapes import infer_shapes
from tuning_service.caffe.text import read_net


def input_layer(name, shape):
    dims = " ".join(f"dim: {d}" for d in shape)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'


def make_net(text, *, training=True, seed=0, **inputs):
    """A float64 net of layers in `text` on Input layers of the given shapes."""
    given = "".join(input_layer(name, shape) for name, shape in inputs.items())
    shaped = infer_shapes(plan_net(read_net(given + text), TRAIN if training else TEST))
    torch.set_default_dtype(torch.float64)
    try:
        return Net(shaped, training=training, generator=torch.Generator().manual_seed(seed))
    finally:
        torch.set_default_dtype(torch.float32)


def layer(kind, settings="", bottoms=("x",), tops=("y",), name="l"):
    blobs = "".join(f' bottom: "{b}"' for b in bottoms) + "".join(f' top: "{t}"' for t in tops)
    return f'layer {{ name: "{name}" type: "{kind}"{blobs} {settings} }}\n'


def run(net, **inputs):
    """The outputs by name, as arrays."""
    _, outputs = net({name: torch.as_tensor(np.asarray(value)).double() for name, value in inputs.items()})
    return {output.name: value.detach().numpy() for output, value in zip(net.outputs, outputs, strict=True)}


def blobs(net, name="l"):
    return [blob.detach().numpy() for blob in net.blobs[name]]
