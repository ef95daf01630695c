"""Update rules, rates, fillers and binary files: each against numbers worked out elsewhere."""

import math

import numpy as np
import pytest
import torch

from tests.caffe import reference
from tuning_service.caffe import wire
from tuning_service.caffe.checks import CheckFailed
from tuning_service.caffe.compile import Learned
from tuning_service.caffe.fillers import fill
from tuning_service.caffe.policies import learning_rate
from tuning_service.caffe.rules import make_rule
from tuning_service.caffe.schema import BlobProto, FillerParameter, NetParameter, SolverParameter, SolverState

KINDS = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]


def learned(value, lr_mult=1.0, decay_mult=1.0):
    return Learned(torch.nn.Parameter(torch.tensor(np.array(value), dtype=torch.float64)), lr_mult, decay_mult)


def step(rule, some, gradients, rate, iteration):
    for one, gradient in zip(some, gradients, strict=True):
        one.parameter.grad = torch.tensor(np.array(gradient), dtype=torch.float64)
    rule.step(rate, iteration)
    return [one.parameter.detach().numpy().copy() for one in some]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regularisation", ["L1", "L2"])
def test_each_rule_step_by_step(kind, regularisation):
    momentum = 0.0 if kind in {"AdaGrad", "RMSProp"} else 0.875
    message = SolverParameter(
        type=kind, momentum=momentum, weight_decay=0.125, regularization_type=regularisation, delta=2**-20,
        momentum2=0.9375, rms_decay=0.75,
    )  # fmt: skip
    rng = np.random.default_rng(3)
    shapes, lr_mults, decay_mults = [(2, 3), (3,), (2,)], [1, 2, 1], [1, 0, 3]
    start = [rng.normal(size=shape) for shape in shapes]
    some = [learned(w, lr, decay) for w, lr, decay in zip(start, lr_mults, decay_mults, strict=True)]
    rule = make_rule(message, some)
    naive = [
        reference.Solver(kind, w, momentum=momentum, momentum2=0.9375, delta=2**-20, rms_decay=0.75) for w in start
    ]
    for iteration in range(5):
        rate = 0.1 / (iteration + 1)  # momentum must carry the rate of its own time
        gradients = [rng.normal(size=shape) for shape in shapes]
        made = step(rule, some, gradients, rate, iteration)
        for i, one in enumerate(naive):
            expected = one.step(gradients[i], rate * lr_mults[i], 0.125 * decay_mults[i], regularisation)
            np.testing.assert_allclose(made[i], expected, rtol=1e-9)


def test_gradients_are_clipped_by_their_common_norm_then_averaged():
    some = [learned([0.0, 0.0]), learned([0.0])]
    rule = make_rule(SolverParameter(clip_gradients=6.5, iter_size=2), some)
    made = step(rule, some, [[3.0, 4.0], [12.0]], 1.0, 0)  # norm 13
    np.testing.assert_allclose(np.concatenate(made), [-0.75, -1, -3], rtol=1e-6)
    small = step(rule, some, [[3.0, 4.0], [0.0]], 1.0, 1)
    np.testing.assert_allclose(np.concatenate(small), [-2.25, -3, -3], rtol=1e-6)


def test_a_blob_that_no_loss_reaches_still_decays():
    one = learned([1.0])
    make_rule(SolverParameter(weight_decay=0.5), [one]).step(0.5, 0)
    assert one.parameter.item() == 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_histories_are_given_and_taken(kind):
    message = SolverParameter(type=kind, momentum=0 if kind in {"AdaGrad", "RMSProp"} else 0.5)
    some = [learned([1.0, 2.0]), learned([[3.0]])]
    first = make_rule(message, some)
    step(first, some, [[1.0, -1.0], [[0.5]]], 0.1, 0)
    twins = [learned(one.parameter.detach().numpy()) for one in some]
    second = make_rule(message, twins)
    second.restore([blob.numpy() for blob in first.history()])
    again = [[0.3, 2.0], [[-1.0]]]
    for a, b in zip(step(first, some, again, 0.1, 1), step(second, twins, again, 0.1, 1), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(CheckFailed, match="another net"):
        second.restore([np.zeros(2, np.float32)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "LBFGS"}, 'solver type is "LBFGS"'),
        ({"type": "AdaGrad", "momentum": 0.9}, "momentum cannot be used with AdaGrad"),
        ({"type": "RMSProp", "rms_decay": 1}, "rms_decay is 1"),
        ({"regularization_type": "L3"}, "known are L1 and L2"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(CheckFailed, match=message):
        make_rule(SolverParameter(**settings), [])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("fixed", [0.5, 0.5, 0.5]),
        ("step", [0.5, 0.125, 0.03125]),  # stepsize 10, gamma 1/4
        ("exp", [0.5, 0.5 * 4.0**-10, 0.5 * 4.0**-25]),
        ("inv", [0.5, 0.5 * 3.5**-2, 0.5 * 7.25**-2]),
        ("multistep", [0.5, 0.125, 0.03125]),
        ("poly", [0.5, 0.5 * 0.8**2, 0.5 * 0.5**2]),
        ("sigmoid", [0.5 / (1 + math.exp(2.5)), 0.25, 0.5 / (1 + math.exp(-0.25 * 15))]),
    ],
)
def test_rates(policy, expected):
    message = SolverParameter(
        base_lr=0.5, lr_policy=policy, gamma=0.25, power=2, stepsize=10, stepvalue=[10, 20], max_iter=50
    )
    assert [learning_rate(message, i) for i in (0, 10, 25)] == pytest.approx(expected)


def test_an_unknown_policy_is_refused_with_those_known():
    with pytest.raises(CheckFailed, match='lr_policy is "cosine"; known are fixed, step'):
        learning_rate(SolverParameter(lr_policy="cosine"), 0)


def filled(shape, seed=1, **settings):
    return fill(FillerParameter(**settings), shape, torch.Generator().manual_seed(seed)).numpy()


@pytest.mark.parametrize(("norm", "fan"), [("FAN_IN", 60), ("FAN_OUT", 180), ("AVERAGE", 120)])
def test_xavier_and_msra_by_fan(norm, fan):
    xavier = filled((30, 10, 2, 3), type="xavier", variance_norm=norm)
    reach = math.sqrt(3 / fan)
    assert np.abs(xavier).max() <= reach
    assert np.abs(xavier).max() > 0.99 * reach
    msra = filled((30, 10, 2, 3), type="msra", variance_norm=norm)
    assert msra.std() == pytest.approx(math.sqrt(2 / fan), rel=0.1)


def test_other_fillers():
    assert (filled((2, 3), type="constant", value=4) == 4).all()
    uniform = filled((1000,), type="uniform", min=2, max=3)
    assert uniform.min() >= 2
    assert uniform.max() < 3
    assert uniform.mean() == pytest.approx(2.5, abs=0.05)
    gaussian = filled((100, 100), type="gaussian", mean=5, std=2)
    assert (gaussian.mean(), gaussian.std()) == pytest.approx((5, 2), abs=0.1)
    sparse = filled((100, 100), type="gaussian", sparse=10)
    assert (sparse != 0).mean() == pytest.approx(0.1, abs=0.02)
    ball = filled((4, 5), type="positive_unitball")
    assert (ball > 0).all()
    np.testing.assert_allclose(ball.sum(1), 1, rtol=1e-5)
    line = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_allclose(filled((1, 1, 4, 4), type="bilinear")[0, 0], np.outer(line, line))
    with pytest.raises(CheckFailed, match='filler type is "he"'):
        filled((2,), type="he")


def test_binary_files_are_those_of_protobuf():
    """What is written by hand is read by protobuf, and the other way round."""
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = wire.write_weights("net", [("ip", "InnerProduct", [weights, weights[0]]), ("relu", "ReLU", [])])
    net = NetParameter.FromString(data)
    assert [layer.name for layer in net.layer] == ["ip", "relu"]
    assert list(net.layer[0].blobs[0].shape.dim) == [2, 3]
    assert list(net.layer[0].blobs[0].data) == [0, 1, 2, 3, 4, 5]
    back = wire.read_weights(net.SerializeToString())
    np.testing.assert_array_equal(back["ip"][0], weights)
    assert list(back) == ["ip"]
    state = SolverState(iter=300, learned_net="x.caffemodel", current_step=2)
    state.history.append(BlobProto(data=[1, 2], num=1, channels=2, height=1, width=1))
    read = wire.read_state(state.SerializeToString())
    assert (read.iteration, read.learned_net, read.current_step, read.extra) == (300, "x.caffemodel", 2, b"")
    assert read.history[0].shape == (1, 2, 1, 1)
    again = SolverState.FromString(wire.write_state(read))
    assert (again.iter, list(again.history[0].data)) == (300, [1, 2])


def test_weights_of_the_form_before_are_read():
    net = NetParameter()
    old = net.layers.add(name="conv")
    old.blobs.add(data=[1, 2, 3], num=1, channels=1, height=1, width=3)
    assert wire.read_weights(net.SerializeToString())["conv"][0].shape == (1, 1, 1, 3)


@pytest.mark.parametrize("data", [b"\xff" * 30, b"PK\x03\x04 not ours at all", b"\x0a\xff\x01ab"])
def test_other_files_are_no_weights(data):
    with pytest.raises(CheckFailed):
        wire.read_weights(data)
