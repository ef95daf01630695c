"""ONNX files of all kinds of layers, run by onnxruntime, against the runtime itself."""

import numpy as np
import pytest
import torch

from tests.caffe.making import input_layer, layer
from tuning_service.caffe import snapshot
from tuning_service.caffe.checks import CheckFailed
from tuning_service.caffe.compile import Net
from tuning_service.caffe.export import export
from tuning_service.caffe.net import plan_net
from tuning_service.caffe.schema import TEST
from tuning_service.caffe.shapes import infer_shapes
from tuning_service.caffe.text import read_net

SHAPE = (3, 4, 9, 8)
IP = 'inner_product_param { num_output: 6 weight_filler { type: "xavier" } bias_filler { type: "uniform" } }'
CASES = {
    "Convolution": "convolution_param { num_output: 6 kernel_size: 3 group: 2 stride: 2 pad: 1 dilation: 2 %s }",
    "Deconvolution": "convolution_param { num_output: 6 kernel_size: 3 group: 2 stride: 2 pad: 1 %s }",
    "InnerProduct": IP,
    "InnerProduct of axis 2, transposed": "inner_product_param { num_output: 3 axis: 2 transpose: true %s }",
    "Pooling MAX": "pooling_param { kernel_size: 3 stride: 2 pad: 1 }",
    "Pooling MAX, over the end": "pooling_param { kernel_size: 2 stride: 3 }",
    "Pooling AVE": "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }",
    "Pooling AVE, over the end": "pooling_param { pool: AVE kernel_size: 4 stride: 3 }",
    "Pooling AVE, all": "pooling_param { pool: AVE global_pooling: true }",
    "LRN": "lrn_param { local_size: 3 alpha: 0.5 k: 2 }",
    "LRN within": "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }",
    "BatchNorm": "",
    "Scale": 'scale_param { bias_term: true filler { type: "uniform" } bias_filler { type: "uniform" } }',
    "Bias": 'bias_param { filler { type: "uniform" } }',
    "PReLU": 'prelu_param { filler { type: "uniform" } }',
    "ReLU": "",
    "ReLU, leaky": "relu_param { negative_slope: 0.1 }",
    "ELU": "elu_param { alpha: 0.5 }",
    "Sigmoid": "",
    "TanH": "",
    "BNLL": "",
    "AbsVal": "",
    "Power": "power_param { power: 2 scale: 0.5 shift: 3 }",
    "Exp": "exp_param { base: 2 scale: 0.5 shift: 1 }",
    "Log": "log_param { base: 10 scale: 0.1 shift: 9 }",
    "Threshold": "threshold_param { threshold: 0.2 }",
    "Dropout": "",
    "Flatten": "flatten_param { end_axis: 2 }",
    "Reshape": "reshape_param { shape { dim: 0 dim: 2 dim: -1 } }",
    "Softmax": "",
}


def exported(tmp_path, text):
    """The runtime's net and onnxruntime's, with the same weights."""
    runtime = pytest.importorskip("onnxruntime")
    (tmp_path / "net.prototxt").write_text(text)
    shaped = infer_shapes(plan_net(read_net(text), TEST))
    net = Net(shaped, training=False, generator=torch.Generator().manual_seed(1))
    for blobs in net.blobs.values():
        if len(blobs) == 3:  # of a BatchNorm: as if trained
            for blob, value in zip(blobs, (0.3, 1.5, 2.0), strict=True):
                blob.fill_(value)
    snapshot.save_weights(tmp_path / "w.caffemodel", "net", net)
    export(tmp_path / "net.prototxt", tmp_path / "w.caffemodel", str(tmp_path / "net.onnx"), "")
    return net, runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])


def compare(net, session, batch=SHAPE[0], **inputs):
    rng = np.random.default_rng(2)
    given = {name: rng.normal(size=(batch, *shape[1:])).astype(np.float32) for name, shape in inputs.items()}
    answers = session.run(None, given)
    with torch.no_grad():
        _, outputs = net({name: torch.from_numpy(value) for name, value in given.items()})
    assert [output.name for output in session.get_outputs()] == [output.name for output in net.outputs]
    for answer, output in zip(answers, outputs, strict=True):
        np.testing.assert_allclose(answer, output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_layers(tmp_path, name):
    kind = name.split()[0].rstrip(",")
    settings = CASES[name].replace("%s", 'weight_filler { type: "xavier" } bias_filler { type: "uniform" }')
    net, session = exported(tmp_path, input_layer("x", SHAPE) + layer(kind, settings))
    compare(net, session, x=SHAPE)
    compare(net, session, batch=5, x=SHAPE)


def test_a_net_of_columns_with_layers_in_place(tmp_path):
    text = (
        input_layer("x", SHAPE)
        + layer("Slice", "", ("x",), ("a", "b"), "slice")
        + layer("ReLU", "", ("a",), ("a",), "relu")
        + layer("Scale", "scale_param { bias_term: true }", ("a",), ("a",), "scale")
        + layer("Eltwise", "eltwise_param { coeff: 1 coeff: -2 }", ("a", "b"), ("sum",), "sum")
        + layer("Eltwise", "eltwise_param { operation: MAX }", ("a", "b"), ("most",), "most")
        + layer("Eltwise", "eltwise_param { operation: PROD }", ("a", "b"), ("product",), "product")
        + layer("Split", "", ("product",), ("p", "q"), "split")
        + layer("Concat", "", ("sum", "most", "p", "q"), ("all",), "all")
        + layer("InnerProduct", IP, ("all",), ("scores",), "ip")
        + layer("Softmax", "", ("scores",), ("prob",), "prob")
    )
    net, session = exported(tmp_path, text)
    compare(net, session, batch=2, x=SHAPE)


def test_two_bottoms_of_scale(tmp_path):
    text = input_layer("x", SHAPE) + input_layer("s", SHAPE[:2])
    text += layer("Scale", "scale_param { axis: 0 }", ("x", "s"))
    net, session = exported(tmp_path, text)
    compare(net, session, x=SHAPE, s=SHAPE[:2])


def test_losses_become_answers(tmp_path):
    text = input_layer("x", SHAPE) + input_layer("t", SHAPE[:1]) + layer("InnerProduct", IP, ("x",), ("scores",), "ip")
    text += layer("Accuracy", "", ("scores", "t"), ("accuracy",), "accuracy")
    text += layer("SoftmaxWithLoss", "", ("scores", "t"), ("loss",), "loss")
    _, session = exported(tmp_path, text)
    assert [given.name for given in session.get_inputs()] == ["x"]
    assert [made.name for made in session.get_outputs()] == ["prob"]
    (answer,) = session.run(None, {"x": np.zeros(SHAPE, np.float32)})
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)


def test_what_onnx_lacks_is_refused_by_name(tmp_path):
    with pytest.raises(CheckFailed, match='layer "l": ArgMax cannot be written as ONNX'):
        exported(tmp_path, input_layer("x", SHAPE) + layer("ArgMax"))
