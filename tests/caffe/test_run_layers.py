"""Each layer against the naive reference, and its gradient against finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.caffe import reference
from tests.caffe.making import blobs, layer, make_net, run
from tuning_service.caffe.layers import known_layers
from tuning_service.caffe.net import ARITIES, DATA_TYPES

FILLER = 'weight_filler { type: "xavier" }'
FEW = settings(max_examples=60, deadline=None)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def check_gradients(net, **inputs):
    """All learned blobs and all float inputs, weighed so that no sum hides a mistake."""
    tensors = {name: torch.as_tensor(value).double().requires_grad_() for name, value in inputs.items()}
    learned = [one.parameter for one in net.learnable]

    def scalar(*values):
        _, outputs = net(dict(zip(tensors, values[: len(tensors)], strict=True)))
        weights = torch.cos(torch.arange(outputs[0].numel(), dtype=torch.float64)).reshape(outputs[0].shape)
        return (outputs[0] * (weights + 0.5)).sum()

    assert torch.autograd.gradcheck(scalar, (*tensors.values(), *learned), eps=1e-6, atol=1e-5)


def test_every_planned_type_can_be_made():
    assert set(known_layers()) == set(ARITIES) - DATA_TYPES


@FEW
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    pad=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    kind=st.sampled_from(["MAX", "AVE"]),
)
def test_pooling(size, kernel, stride, pad, kind):
    assume(all(p < k <= s + 2 * p for p, k, s in zip(pad, kernel, size, strict=True)))
    windows = (
        f"kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride_h: {stride[0]} stride_w: {stride[1]} "
        f"pad_h: {pad[0]} pad_w: {pad[1]}"
    )
    x = drawn(2, 2, *size)
    net = make_net(layer("Pooling", f"pooling_param {{ pool: {kind} {windows} }}"), x=x.shape)
    np.testing.assert_allclose(run(net, x=x)["y"], reference.pooling(x, kernel, stride, pad, kind), rtol=1e-6)


def test_pooling_rounds_up_and_counts_padding():
    x = np.ones((1, 1, 4, 4))
    net = make_net(layer("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"), x=x.shape)
    # Torch would give 2 x 2 without ceil_mode; corners have 4 ones in a window of 9, the last is cut to 2 x 2.
    expected = [[4 / 9, 6 / 9, 2 / 6], [6 / 9, 1, 3 / 6], [2 / 6, 3 / 6, 1 / 4]]
    np.testing.assert_allclose(run(net, x=x)["y"][0, 0], expected, rtol=1e-6)


def test_padding_on_one_axis_drops_the_last_window_of_the_other_too():
    x = drawn(1, 1, 5, 5)
    for pad_w, windows in ((0, (3, 2)), (1, (2, 2))):
        sizes = f"kernel_h: 1 kernel_w: 2 stride: 3 pad_h: 0 pad_w: {pad_w}"
        net = make_net(layer("Pooling", f"pooling_param {{ pool: MAX {sizes} }}"), x=x.shape)
        assert run(net, x=x)["y"].shape[2:] == windows


def test_global_pooling():
    x = drawn(2, 3, 4, 5)
    net = make_net(layer("Pooling", "pooling_param { pool: AVE global_pooling: true }"), x=x.shape)
    np.testing.assert_allclose(run(net, x=x)["y"], x.mean((2, 3), keepdims=True))


@FEW
@given(
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    group=st.integers(1, 2),
    bias=st.booleans(),
)
def test_convolution(size, kernel, stride, pad, dilation, group, bias):
    assume(all(dilation * (k - 1) + 1 <= s + 2 * pad for k, s in zip(kernel, size, strict=True)))
    window = f"kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride: {stride} pad: {pad} dilation: {dilation}"
    filler = 'weight_filler { type: "gaussian" } bias_filler { type: "uniform" }'
    text = f"num_output: 4 group: {group} bias_term: {str(bias).lower()} {window} {filler}"
    x = drawn(1, 2, *size)
    net = make_net(layer("Convolution", f"convolution_param {{ {text} }}"), x=x.shape)
    weight, *rest = blobs(net)
    expected = reference.convolution(
        x, weight, rest[0] if bias else None, (stride,) * 2, (pad,) * 2, (dilation,) * 2, group
    )
    np.testing.assert_allclose(run(net, x=x)["y"], expected, rtol=1e-6, atol=1e-9)


def test_deconvolution():
    x = drawn(2, 4, 3, 5)
    text = 'num_output: 6 group: 2 kernel_size: 3 stride: 2 pad: 1 weight_filler { type: "gaussian" }'
    net = make_net(layer("Deconvolution", f"convolution_param {{ {text} }}"), x=x.shape)
    weight, bias = blobs(net)
    assert weight.shape == (4, 3, 3, 3)
    np.testing.assert_allclose(run(net, x=x)["y"], reference.deconvolution(x, weight, bias, (2, 2), (1, 1), 2))


@FEW
@given(
    channels=st.integers(1, 8),
    size=st.sampled_from([1, 3, 5, 7]),
    alpha=st.floats(1e-4, 2),
    beta=st.sampled_from([0.75, 0.5, 1.3]),
    within=st.booleans(),
)
def test_lrn(channels, size, alpha, beta, within):
    x = drawn(2, channels, 4, 3)
    region = "WITHIN_CHANNEL" if within else "ACROSS_CHANNELS k: 2"
    text = f"lrn_param {{ local_size: {size} alpha: {alpha!r} beta: {beta} norm_region: {region} }}"
    net = make_net(layer("LRN", text), x=x.shape)
    a, b = np.float32(alpha), np.float32(beta)
    expected = reference.lrn_within(x, size, a, b) if within else reference.lrn_across(x, size, a, b, 2)
    np.testing.assert_allclose(run(net, x=x)["y"], expected, rtol=1e-6)


def test_inner_product():
    x = drawn(3, 2, 2, 2)
    text = 'inner_product_param { num_output: 5 weight_filler { type: "gaussian" } bias_filler { type: "uniform" } }'
    net = make_net(layer("InnerProduct", text), x=x.shape)
    weight, bias = blobs(net)
    expected = [[sum(row * w) + b for w, b in zip(weight, bias, strict=True)] for row in x.reshape(3, 8)]
    np.testing.assert_allclose(run(net, x=x)["y"], expected)
    turned = make_net(layer("InnerProduct", text.replace("num", "transpose: true axis: 2 num")), x=x.shape)
    weight, bias = blobs(turned)
    np.testing.assert_allclose(run(turned, x=x)["y"], x.reshape(3, 2, 4) @ weight + bias)


def test_batch_norm_trains_on_the_batch_and_tests_on_the_average():
    text = layer("BatchNorm", "batch_norm_param { moving_average_fraction: 0.9 eps: 0.001 }")
    net = make_net(text, x=(4, 3, 2, 2))
    naive = reference.BatchNorm(3, float(np.float32(0.9)), float(np.float32(0.001)))
    for seed in range(3):
        x = drawn(4, 3, 2, 2, seed=seed) * 3 + seed
        np.testing.assert_allclose(run(net, x=x)["y"], naive.train(x), rtol=1e-6, atol=1e-7)
    mean, variance, factor = blobs(net)
    np.testing.assert_allclose(mean, naive.mean, rtol=1e-6)
    np.testing.assert_allclose(variance, naive.variance, rtol=1e-6)
    np.testing.assert_allclose(factor, [naive.factor], rtol=1e-6)
    test = make_net(text, training=False, x=(4, 3, 2, 2))
    np.testing.assert_allclose(run(test, x=x)["y"], x / math.sqrt(float(np.float32(0.001))), rtol=1e-6)
    for mine, trained in zip(test.blobs["l"], net.blobs["l"], strict=True):
        mine.copy_(trained)
    np.testing.assert_allclose(run(test, x=x)["y"], naive.test(x), rtol=1e-6)


def test_batch_norm_of_one_value_for_each_channel():
    net = make_net(layer("BatchNorm"), x=(1, 3))
    assert run(net, x=drawn(1, 3))["y"].tolist() == [[0, 0, 0]]


def test_scale_and_bias():
    x = drawn(2, 3, 4)
    filler = 'filler { type: "uniform" } bias_term: true bias_filler { type: "gaussian" }'
    net = make_net(layer("Scale", f"scale_param {{ {filler} }}"), x=x.shape)
    weight, bias = blobs(net)
    np.testing.assert_allclose(run(net, x=x)["y"], x * weight[:, None] + bias[:, None])
    assert blobs(make_net(layer("Scale"), x=x.shape))[0].tolist() == [1, 1, 1]
    two = make_net(layer("Scale", "scale_param { axis: 0 }", ("x", "s")), x=x.shape, s=(2, 3))
    s = drawn(2, 3, seed=1)
    np.testing.assert_allclose(run(two, x=x, s=s)["y"], x * s[:, :, None])
    added = make_net(layer("Bias", 'bias_param { axis: 2 filler { type: "uniform" } }'), x=x.shape)
    np.testing.assert_allclose(run(added, x=x)["y"], x + blobs(added)[0])


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("ReLU", "", lambda v: max(v, 0)),
        ("ReLU", "relu_param { negative_slope: 0.25 }", lambda v: v if v > 0 else v / 4),
        ("PReLU", "", lambda v: v if v > 0 else v / 4),
        ("ELU", "elu_param { alpha: 0.5 }", lambda v: v if v > 0 else (math.exp(v) - 1) / 2),
        ("Sigmoid", "", lambda v: 1 / (1 + math.exp(-v))),
        ("TanH", "", math.tanh),
        ("BNLL", "", lambda v: math.log(1 + math.exp(v))),
        ("AbsVal", "", abs),
        ("Power", "power_param { power: 2 scale: 3 shift: -1 }", lambda v: (3 * v - 1) ** 2),
        ("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }", lambda v: 2 ** (1 + v / 2)),
        ("Exp", "", math.exp),
        ("Log", "log_param { base: 10 scale: 0.5 shift: 9 }", lambda v: math.log10(9 + v / 2)),
        ("Threshold", "threshold_param { threshold: 0.5 }", lambda v: float(v > 0.5)),
        ("Dropout", "dropout_param { dropout_ratio: 0.5 }", lambda v: v),
    ],
)
def test_layers_of_single_values(kind, text, expected):
    x = drawn(2, 3, 2, 2)
    net = make_net(layer(kind, text), training=False, x=x.shape)
    np.testing.assert_allclose(run(net, x=x)["y"], np.vectorize(expected)(x), rtol=1e-6)


def test_dropout_scales_what_it_keeps_while_training():
    torch.manual_seed(1)
    y = run(make_net(layer("Dropout", "dropout_param { dropout_ratio: 0.75 }"), x=(100, 100)), x=np.ones((100, 100)))
    kept = y["y"] != 0
    assert set(np.unique(y["y"])) == {0, 4}
    assert 0.23 < kept.mean() < 0.27


def test_joining_and_parting():
    a, b = drawn(2, 3, 2), drawn(2, 4, 2, seed=1)
    joined = make_net(layer("Concat", bottoms=("a", "b")), a=a.shape, b=b.shape)
    np.testing.assert_array_equal(run(joined, a=a, b=b)["y"], np.concatenate([a, b], 1))
    parted = make_net(
        layer("Slice", "slice_param { slice_point: 1 slice_point: 3 }", ("b",), ("p", "q", "r")), b=b.shape
    )
    parts = run(parted, b=b)
    for name, part in zip("pqr", np.split(b, [1, 3], 1), strict=True):
        np.testing.assert_array_equal(parts[name], part)
    split = run(make_net(layer("Split", bottoms=("a",), tops=("p", "q")), a=a.shape), a=a)
    np.testing.assert_array_equal(split["p"], a)
    np.testing.assert_array_equal(split["q"], a)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", lambda a, b, c: a + b + c),
        ("coeff: 2 coeff: -1 coeff: 0.5", lambda a, b, c: 2 * a - b + c / 2),
        ("operation: PROD", lambda a, b, c: a * b * c),
        ("operation: MAX", lambda a, b, c: np.maximum(np.maximum(a, b), c)),
    ],
)
def test_eltwise(text, expected):
    given = {name: drawn(2, 3, seed=i) for i, name in enumerate("abc")}
    net = make_net(layer("Eltwise", f"eltwise_param {{ {text} }}", tuple("abc")), **dict.fromkeys(given, (2, 3)))
    np.testing.assert_allclose(run(net, **given)["y"], expected(*given.values()))
    check_gradients(net, **given)


@pytest.mark.parametrize(
    ("kind", "text", "shape"),
    [
        ("Flatten", "", (2, 60)),
        ("Flatten", "flatten_param { axis: 1 end_axis: 2 }", (2, 12, 5)),
        ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 10 } }", (2, 6, 10)),
        ("Reshape", "reshape_param { shape { dim: 2 dim: 2 } axis: 2 num_axes: 1 }", (2, 3, 2, 2, 5)),
        ("Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }", (2, 3, 4, 5, 1)),
    ],
)
def test_shapes(kind, text, shape):
    x = drawn(2, 3, 4, 5)
    np.testing.assert_array_equal(run(make_net(layer(kind, text), x=x.shape), x=x)["y"], x.reshape(shape))


@pytest.mark.parametrize("mode", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
@pytest.mark.parametrize("ignored", [None, 1])
def test_softmax_with_loss(mode, ignored):
    x, labels = drawn(2, 3, 2, 2) * 3, np.array([[0, 1, 2, 1], [1, 1, 0, 2]])
    text = f"loss_param {{ normalization: {mode} {'' if ignored is None else f'ignore_label: {ignored}'} }}"
    net = make_net(layer("SoftmaxWithLoss", text, ("x", "t"), ("y", "prob")), x=x.shape, t=(2, 1, 2, 2))
    made = run(net, x=x, t=labels.reshape(2, 1, 2, 2))
    flat = x.reshape(2, 3, 4)
    np.testing.assert_allclose(made["y"], reference.softmax_loss(flat, labels, mode, ignored))
    expected = [[reference.softmax(list(flat[i, :, j])) for j in range(4)] for i in range(2)]
    np.testing.assert_allclose(made["prob"].reshape(2, 3, 4), np.moveaxis(expected, 2, 1))


def test_softmax_loss_is_cut_off_and_its_gradient_is_not():
    net = make_net(layer("SoftmaxWithLoss", bottoms=("x", "t")), x=(1, 2), t=(1,))
    x = torch.tensor([[0.0, 500.0]], dtype=torch.float64, requires_grad=True)
    loss, _ = net({"x": x, "t": torch.zeros(1)})
    assert float(loss.detach()) == pytest.approx(87.3365, abs=1e-3)
    loss.backward()
    np.testing.assert_allclose(x.grad, [[-1, 1]])


@pytest.mark.parametrize(("text", "divisor"), [("", 2), ("normalization: FULL", 6), ("normalization: NONE", 1)])
def test_sigmoid_cross_entropy(text, divisor):
    x, target = drawn(2, 3), np.array([[0, 1, 0.3], [1, 1, 0]])
    net = make_net(layer("SigmoidCrossEntropyLoss", f"loss_param {{ {text} }}", ("x", "t")), x=(2, 3), t=(2, 3))
    np.testing.assert_allclose(run(net, x=x, t=target)["y"], reference.sigmoid_loss(x, target, divisor))


def test_euclidean_and_hinge_losses():
    x, target, labels = drawn(3, 4), drawn(3, 4, seed=1), np.array([0, 3, 1])
    net = make_net(layer("EuclideanLoss", bottoms=("x", "t")), x=x.shape, t=x.shape)
    np.testing.assert_allclose(run(net, x=x, t=target)["y"], ((x - target) ** 2).sum() / 6)
    check_gradients(net, x=x, t=target)
    for norm in ("L1", "L2"):
        net = make_net(layer("HingeLoss", f"hinge_loss_param {{ norm: {norm} }}", ("x", "t")), x=x.shape, t=(3,))
        expected = reference.hinge_loss(x, labels, squared=norm == "L2")
        np.testing.assert_allclose(run(net, x=x, t=labels)["y"], expected)


@given(
    scores=st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=6),
    top_k=st.integers(1, 3),
    ignored=st.sampled_from([None, 2]),
    data=st.data(),
)
@FEW
def test_accuracy(scores, top_k, ignored, data):
    x = np.array(scores, float)
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(x), max_size=len(x))))
    text = f"accuracy_param {{ top_k: {top_k} {'' if ignored is None else f'ignore_label: {ignored}'} }}"
    net = make_net(layer("Accuracy", text, ("x", "t"), ("y", "each")), x=x.shape, t=labels.shape)
    made = run(net, x=x, t=labels)
    np.testing.assert_allclose(made["y"], reference.accuracy(x, labels, top_k, ignored), rtol=1e-6)
    for c in set(labels) - {ignored}:
        of_class = labels == c
        np.testing.assert_allclose(made["each"][c], reference.accuracy(x[of_class], labels[of_class], top_k), rtol=1e-6)


def test_nan_is_never_right():
    net = make_net(layer("Accuracy", bottoms=("x", "t")), x=(2, 2), t=(2,))
    assert run(net, x=np.full((2, 2), np.nan), t=[0, 1])["y"] == 0


def test_argmax():
    x = drawn(2, 5)
    best = np.argsort(-x, 1)[:, :2]
    found = run(make_net(layer("ArgMax", "argmax_param { top_k: 2 }"), x=x.shape), x=x)["y"]
    np.testing.assert_array_equal(found, best[:, None])
    values = run(make_net(layer("ArgMax", "argmax_param { top_k: 2 out_max_val: true axis: 1 }"), x=x.shape), x=x)["y"]
    np.testing.assert_array_equal(values, np.take_along_axis(x, best, 1))


@pytest.mark.parametrize(
    ("kind", "text", "shape"),
    [
        ("Convolution", f"convolution_param {{ num_output: 4 kernel_size: 3 group: 2 pad: 1 {FILLER} }}", (2, 2, 5, 4)),
        ("Deconvolution", f"convolution_param {{ num_output: 2 kernel_size: 3 stride: 2 {FILLER} }}", (1, 2, 3, 3)),
        ("InnerProduct", 'inner_product_param { num_output: 3 weight_filler { type: "xavier" } }', (2, 4)),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", (1, 2, 6, 6)),
        ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }", (1, 2, 6, 6)),
        ("Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 4 }", (1, 1, 7, 7)),
        ("LRN", "lrn_param { local_size: 3 alpha: 0.7 }", (2, 5, 2, 2)),
        ("LRN", "lrn_param { local_size: 5 alpha: 0.7 beta: 0.6 }", (2, 3, 2, 2)),
        ("LRN", "lrn_param { local_size: 3 alpha: 0.7 norm_region: WITHIN_CHANNEL }", (1, 2, 3, 3)),
        ("BatchNorm", "", (3, 2, 2, 2)),
        ("Scale", "scale_param { bias_term: true }", (2, 3, 2)),
        ("Bias", "", (2, 3, 2)),
        ("PReLU", "", (2, 3, 2)),
        ("ReLU", "", (2, 3)),
        ("ELU", "", (2, 3)),
        ("Sigmoid", "", (2, 3)),
        ("TanH", "", (2, 3)),
        ("BNLL", "", (2, 3)),
        ("Power", "power_param { power: 3 scale: 2 shift: 1 }", (2, 3)),
        ("Softmax", "", (2, 3, 2)),
    ],
)  # fmt: skip
def test_gradients(kind, text, shape):
    check_gradients(make_net(layer(kind, text), x=shape), x=drawn(*shape))


def test_gradient_of_the_softmax_loss():
    net = make_net(layer("SoftmaxWithLoss", bottoms=("x", "t")), x=(3, 4), t=(3,))
    x = torch.as_tensor(drawn(3, 4)).requires_grad_()
    labels = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda x: net({"x": x, "t": labels})[0], (x,))


def test_layers_in_place_keep_what_others_need():
    # The second user of "a" must see it before the ReLU or after, as the order says.
    ip = 'inner_product_param { num_output: 3 weight_filler { type: "gaussian" } }'
    text = (
        layer("InnerProduct", ip, ("x",), ("a",), "ip")
        + layer("Power", "power_param { scale: 2 }", ("a",), ("before",), "p")
        + layer("ReLU", "", ("a",), ("a",), "relu")
        + layer("Eltwise", "", ("a", "before"), ("y",), "sum")
    )
    x = drawn(4, 3)
    net = make_net(text, x=x.shape)
    a = x @ blobs(net, "ip")[0].T
    np.testing.assert_allclose(run(net, x=x)["y"], np.maximum(a, 0) + 2 * a)
    check_gradients(net, x=x)


def test_blobs_shared_by_name_are_one():
    ip = 'param { name: "w" } inner_product_param { num_output: 3 bias_term: false weight_filler { type: "gaussian" } }'
    text = layer("InnerProduct", ip, ("x",), ("h",), "one") + layer("InnerProduct", ip, ("h",), ("y",), "two")
    net = make_net(text, x=(2, 3))
    assert len(net.learnable) == 1
    weight = blobs(net, "one")[0]
    x = drawn(2, 3)
    np.testing.assert_allclose(run(net, x=x)["y"], x @ weight.T @ weight.T)
    check_gradients(net, x=x)


def test_propagate_down_stops_the_gradient():
    ip = 'inner_product_param { num_output: 2 weight_filler { type: "gaussian" } }'
    text = layer("InnerProduct", ip, ("x",), ("h",), "below") + layer(
        "InnerProduct", f"propagate_down: false {ip}", ("h",), ("y",), "above"
    )
    net = make_net(text, x=(2, 3))
    net({"x": torch.ones(2, 3).double()})[1][0].sum().backward()
    assert net.blobs["below"][0].grad is None
    assert net.blobs["above"][0].grad is not None


def test_losses_are_weighed():
    text = layer("EuclideanLoss", "loss_weight: 0.5", ("x", "t"), ("a",), "a") + layer(
        "Power", "loss_weight: 2", ("x",), ("b",), "b"
    )
    x, t = drawn(2, 3), drawn(2, 3, seed=1)
    net = make_net(text, x=x.shape, t=x.shape)
    loss, _ = net({"x": torch.as_tensor(x), "t": torch.as_tensor(t)})
    assert float(loss.detach()) == pytest.approx(0.5 * ((x - t) ** 2).sum() / 4 + 2 * x.sum())
