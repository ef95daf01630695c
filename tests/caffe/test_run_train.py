"""Whole trainings through the command line."""

import re
import signal

import numpy as np
import pytest

from tests.caffe.digits import LENET, Done, caffe, caffe_process, said, write_digits
from tuning_service.caffe import wire

GLOG = re.compile(r"^[IWF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ [\w.]+:\d+\] ")
TRAIN = ("train", "--solver=solver.prototxt")


def after(lines, iteration):
    """What is said from the test of `iteration` on."""
    return lines[lines.index(f"I solver.cpp:330] Iteration {iteration}, Testing net (#0)") :]


def test_lenet_learns_the_digits(tmp_path):
    write_digits(tmp_path, "max_iter: 500")
    with caffe_process(tmp_path, *TRAIN) as training:
        log = training.stderr.read()
    assert training.returncode == 0, log
    done = Done(0, log)
    lines = said(done.stderr)
    assert all(GLOG.match(line) for line in done.stderr.splitlines())
    assert "I caffe.cpp:197] Use CPU: a GPU is asked for, and torch sees none here." in lines
    assert lines[-1].endswith("Optimization Done.")
    last = after(lines, 500)
    accuracy = re.fullmatch(r"I solver.cpp:397\]     Test net output #0: accuracy = ([\d.]+)", last[1])
    assert float(accuracy[1]) >= 0.97
    loss = re.fullmatch(r"I solver.cpp:397\]     Test net output #1: loss = (\S+) \(\* 1 = (\S+) loss\)", last[2])
    assert loss[1] == loss[2]
    assert f"I sgd_solver.cpp:105] Iteration 100, lr = {0.01 * 1.01**-0.75:g}" in lines
    shown = re.compile(r"Iteration 50 \([\d.]+ iter/s, [\d.]+s/50 iters\), loss = [\d.]+$", re.MULTILINE)
    assert shown.search(done.stderr)
    scored = caffe(
        tmp_path, "test", "-model", "net.prototxt", "-weights=out/lenet_iter_500.caffemodel", "-iterations=6"
    )
    assert said(scored.stderr)[-2] == f"I caffe.cpp:321] accuracy = {accuracy[1]}"


@pytest.mark.parametrize("seed", ["", "random_seed: 3"])
def test_a_resumed_training_says_what_an_uninterrupted_one_does(tmp_path, seed):
    write_digits(tmp_path, "max_iter: 200 snapshot: 100 average_loss: 7 iter_size: 2")
    if not seed:
        text = (tmp_path / "solver.prototxt").read_text()
        (tmp_path / "solver.prototxt").write_text(text.replace("random_seed: 3\n", ""))
    whole = caffe(tmp_path, *TRAIN)
    assert whole.returncode == 0, whole.stderr
    weights = (tmp_path / "out" / "lenet_iter_200.caffemodel").read_bytes()
    resumed = caffe(tmp_path, *TRAIN, "--snapshot=out/lenet_iter_100.solverstate")
    assert resumed.returncode == 0, resumed.stderr
    assert after(said(resumed.stderr), 100) == after(said(whole.stderr), 100)
    assert (tmp_path / "out" / "lenet_iter_200.caffemodel").read_bytes() == weights


@pytest.mark.parametrize("kind", ["Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_every_solver_learns_and_resumes(tmp_path, kind):
    write_digits(tmp_path, f'max_iter: 60 snapshot: 30 type: "{kind}"')
    text = (tmp_path / "solver.prototxt").read_text().replace("base_lr: 0.01", "base_lr: 0.002")
    if kind in {"AdaGrad", "RMSProp"}:
        text = text.replace("momentum: 0.9\n", "")
    if kind == "AdaDelta":
        text = text.replace("base_lr: 0.002", "base_lr: 1 delta: 1e-6")
    (tmp_path / "solver.prototxt").write_text(text)
    whole = caffe(tmp_path, *TRAIN)
    assert whole.returncode == 0, whole.stderr
    found = re.findall(r"Iteration (?:0|50) \(.*\), loss = ([\d.]+)", whole.stderr)
    assert float(found[1]) < 0.9 * float(found[0])
    weights = (tmp_path / "out" / "lenet_iter_60.caffemodel").read_bytes()
    resumed = caffe(tmp_path, *TRAIN, "--snapshot=out/lenet_iter_30.solverstate")
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out" / "lenet_iter_60.caffemodel").read_bytes() == weights


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    write_digits(tmp_path, "max_iter: 100")
    text = (tmp_path / "solver.prototxt").read_text()
    (tmp_path / "solver.prototxt").write_text(text.replace("base_lr: 0.01", "base_lr: 1e30"))
    done = caffe(tmp_path, *TRAIN)
    assert done.returncode == 1
    lines = said(done.stderr)
    assert "I solver.cpp:218] Iteration 50, loss = nan" in lines
    assert re.match(r"F caffe.cpp:\d+\] Check failed: the loss is nan at iteration 50", lines[-1])


def test_an_interrupt_leaves_a_snapshot_to_go_on_from(tmp_path):
    write_digits(tmp_path, "max_iter: 100000")
    training = caffe_process(tmp_path, *TRAIN)
    try:
        for line in training.stderr:
            if "Iteration 50 (" in line:
                break
        training.send_signal(signal.SIGINT)
        rest = training.stderr.read()
        assert training.wait(60) == 0, rest
    finally:
        training.kill()
        training.wait()
        training.stderr.close()
    assert "Optimization stopped early." in rest
    (state,) = (tmp_path / "out").glob("*.solverstate")
    reached = wire.read_state(state.read_bytes()).iteration
    assert reached > 50
    solver = (tmp_path / "solver.prototxt").read_text().replace("100000", str(reached + 5))
    (tmp_path / "solver.prototxt").write_text(solver)
    resumed = caffe(tmp_path, *TRAIN, f"--snapshot={state.relative_to(tmp_path)}")
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out" / f"lenet_iter_{reached + 5}.caffemodel").exists()


def test_weights_are_taken_by_layer_and_others_start_anew(tmp_path):
    write_digits(tmp_path, "max_iter: 100")
    assert caffe(tmp_path, *TRAIN).returncode == 0
    wider = LENET.replace('"ip2"', '"ip2_wide"').replace("num_output: 10 ", "num_output: 12 ")
    (tmp_path / "net.prototxt").write_text(wider)
    done = caffe(tmp_path, *TRAIN, "--weights=out/lenet_iter_100.caffemodel")
    assert done.returncode == 0, done.stderr
    assert "Ignoring source layer ip2" in done.stderr
    assert "Layer ip2_wide is not in" in done.stderr
    (tmp_path / "net.prototxt").write_text(LENET.replace("num_output: 500", "num_output: 400"))
    refused = caffe(tmp_path, *TRAIN, "--weights=out/lenet_iter_100.caffemodel")
    assert refused.returncode == 1
    assert 'Cannot copy param 0 weights from layer "ip1"; shape mismatch' in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("solver", "net", "message"),
    [
        ("max_iter: 1", LENET.replace('bottom: "pool1"', 'bottom: "pool9"'), "bottom pool9 is the top of no layer"),
        ("max_iter: 1", LENET.replace('"SoftmaxWithLoss"', '"Softmax_Loss"'), "type Softmax_Loss is not supported"),
        ("max_iter: 1", LENET.replace("kernel_size: 3", "kernel_size: 30"), "kernel of 30 is larger than its input"),
        ("max_iter: 1", LENET.replace("{ phase: TRAIN }", "{ phase TRAIN }"), r"net.prototxt: line 2, column \d+"),
        ("max_iter: 1", LENET.replace("num_output: 10 ", "num_output: 9 "), "has the label 9; layer .*has 9 classes"),
        ("max_iter: 1", LENET.replace("train.npz", "no.npz"), "the data source .*no.npz does not exist"),
        ("max_iter: 0", LENET, "the solver needs a max_iter above 0"),
        (
            "max_iter: 1",
            # 80 GB for each of a thousand layers: none is made.
            LENET.replace("num_output: 500 ", "num_output: 100000 ").replace(
                'layer { name: "relu1"',
                "".join(
                    f'layer {{ name: "wide{i}" type: "InnerProduct" bottom: "ip1" top: "ip1_{i}" '
                    "inner_product_param { num_output: 20000 } }\n"
                    for i in range(1000)
                )
                + 'layer { name: "relu1"',
            ),
            r"parameters need \d+ GiB with their gradients, and this machine has \d+",
        ),
        ('max_iter: 1 type: "LBFGS"', LENET, "the solver has the type 'LBFGS'"),
        ("max_iter: 1 test_iter: 2", None, "net.prototxt cannot be read"),
    ],
)
def test_what_cannot_be_trained_is_one_last_line(tmp_path, solver, net, message):
    write_digits(tmp_path, solver, net or LENET)
    if net is None:
        (tmp_path / "net.prototxt").unlink()
    done = caffe(tmp_path, *TRAIN)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(rf"^F\d{{4}} .*\] Check failed: .*{message}", done.stderr.splitlines()[-1])


def test_a_solver_without_a_net(tmp_path):
    (tmp_path / "solver.prototxt").write_text('base_lr: 0.1 lr_policy: "fixed" max_iter: 1\n')
    done = caffe(tmp_path, *TRAIN)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith('the solver names no net to train; write net: "net.prototxt"')


def test_several_test_nets_stages_and_the_loss_of_a_test(tmp_path):
    staged = LENET.replace("include { phase: TEST } }\nlayer", 'include { phase: TEST stage: "score" } }\nlayer')
    write_digits(
        tmp_path,
        'max_iter: 1 test_iter: 2 test_compute_loss: true test_state { stage: "score" } test_state { level: 1 }',
        staged,
    )
    done = caffe(tmp_path, *TRAIN)
    assert done.returncode == 0, done.stderr
    lines = said(done.stderr)
    first, second = after(lines, 0), lines[lines.index("I solver.cpp:330] Iteration 0, Testing net (#1)") :]
    assert first[1].startswith("I solver.cpp:383] Test loss: 2.")
    assert first[2].startswith("I solver.cpp:397]     Test net output #0: accuracy = 0.")
    assert second[2].startswith("I solver.cpp:397]     Test net output #0: loss = ")


def test_the_command_line_chooses_level_and_stages(tmp_path):
    staged = LENET.replace('top: "ip1" }', 'top: "ip1" include { stage: "deep" min_level: 2 } }')
    write_digits(tmp_path, "max_iter: 1 test_iter: 1", staged)
    for arguments in ((), ("--stage=deep,other", "-level", "2")):
        done = caffe(tmp_path, *TRAIN, *arguments)
        assert done.returncode == 0, done.stderr
        losses = re.findall(r"Iteration 0 .*, loss = ([\d.]+)", done.stderr)
        assert len(losses) == 1
        tmp_path.joinpath(f"loss{len(arguments)}").write_text(losses[0])
    assert (tmp_path / "loss0").read_text() != (tmp_path / "loss3").read_text()


def test_times_of_a_net(tmp_path):
    write_digits(tmp_path)
    done = caffe(tmp_path, "time", "--model=net.prototxt", "--iterations=2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Average Forward pass: [\d.]+ ms\.", done.stderr)
    assert re.search(r"Average Backward pass: [\d.]+ ms\.", done.stderr)


def test_exports_give_the_same_answers(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    import torch

    write_digits(tmp_path)
    assert caffe(tmp_path, *TRAIN).returncode == 0
    weights = "--weights=out/lenet_iter_100.caffemodel"
    done = caffe(tmp_path, "export", "--model=net.prototxt", weights, "--onnx=l.onnx", "--torch=l.pt")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "test.npz") as file:
        data, label = file["data"] * np.float32(0.0625), file["label"]
    (answers,) = runtime.InferenceSession(str(tmp_path / "l.onnx")).run(["prob"], {"data": data})
    np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-5)
    right = (answers.argmax(1) == label).mean()
    scored = caffe(tmp_path, "test", "--model=net.prototxt", "--weights=l.pt", "--iterations=6")
    assert said(scored.stderr)[-2] == f"I caffe.cpp:321] accuracy = {right:g}"
    kept = torch.load(tmp_path / "l.pt", weights_only=True)
    assert kept["state_dict"]["ip2.weight"].shape == (10, 500)
    assert 'name: "LeNet"' in kept["net"]


def test_a_gpu_that_is_not_there_is_said(tmp_path):
    write_digits(tmp_path, "max_iter: 1 solver_mode: CPU")
    assert "Use CPU.\n" in caffe(tmp_path, *TRAIN).stderr
    assert "torch sees none here" in caffe(tmp_path, *TRAIN, "--gpu=0").stderr


def test_nothing_is_left_in_the_folder_of_a_failed_snapshot(tmp_path):
    write_digits(tmp_path, "max_iter: 1 test_initialization: false")
    (tmp_path / "out").write_text("a file where the folder of the snapshots should be")
    done = caffe(tmp_path, *TRAIN)
    assert done.returncode == 1
    assert "the snapshot out/lenet_iter_1.caffemodel cannot be written" in done.stderr.splitlines()[-1]
    assert (tmp_path / "out").is_file()
