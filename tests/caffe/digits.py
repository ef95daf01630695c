"""scikit-learn's handwritten digits for LeNet, and the command line that trains it."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from tuning_service.caffe.main import main

ROOT = Path(__file__).resolve().parents[2]

CONVOLUTION = """layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  param {{ lr_mult: 1 }} param {{ lr_mult: 2 }}
  convolution_param {{ num_output: {outputs} kernel_size: 3 pad: {pad} weight_filler {{ type: "xavier" }} }} }}
"""
DENSE = """layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
  param {{ lr_mult: 1 }} param {{ lr_mult: 2 }}
  inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}
"""
POOL = """layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
"""
DATA = """layer {{ name: "digits" type: "Data" top: "data" top: "label" include {{ phase: {phase} }}
  transform_param {{ scale: 0.0625 }} data_param {{ source: "{source}.npz" batch_size: {batch} }} }}
"""
LENET = (
    'name: "LeNet"\n'
    + DATA.format(phase="TRAIN", source="train", batch=64)
    + DATA.format(phase="TEST", source="test", batch=60)
    + CONVOLUTION.format(name="conv1", bottom="data", outputs=20, pad=1)
    + POOL.format(name="pool1", bottom="conv1")
    + CONVOLUTION.format(name="conv2", bottom="pool1", outputs=50, pad=1)
    + POOL.format(name="pool2", bottom="conv2")
    + DENSE.format(name="ip1", bottom="pool2", outputs=500)
    + 'layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }\n'
    + 'layer { name: "drop1" type: "Dropout" bottom: "ip1" top: "ip1" dropout_param { dropout_ratio: 0.2 } }\n'
    + DENSE.format(name="ip2", bottom="ip1", outputs=10)
    + 'layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy"\n'
    + "  include { phase: TEST } }\n"
    + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }\n'
)
SOLVER = """net: "net.prototxt"
test_iter: 6
test_interval: 100
base_lr: 0.01
momentum: 0.9
weight_decay: 0.0005
lr_policy: "inv"
gamma: 0.0001
power: 0.75
display: 50
snapshot_prefix: "out/lenet"
random_seed: 3
"""


def write_digits(folder, solver="max_iter: 100", net=LENET):
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    data, label = digits.images[order, None].astype(np.float32), digits.target[order]
    np.savez(folder / "train.npz", data=data[:1437], label=label[:1437])
    np.savez(folder / "test.npz", data=data[1437:], label=label[1437:])
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(SOLVER + solver + "\n")


def environment():
    known = {k: v for k, v in os.environ.items() if k != "DATA_DIR"}
    return {**known, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class Done(NamedTuple):
    returncode: int
    stderr: str


def caffe(folder, *arguments):
    """The command line in this process: importing torch anew would be most of the time."""
    torch.set_num_threads(1)
    told = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(told):
        code = main(arguments)
    return Done(code, told.getvalue())


def caffe_process(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tuning_service.caffe", *arguments],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )


def said(log):
    """The log without times and process numbers, and without how fast it was."""
    lines = [re.sub(r"^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ ", r"\1 ", line) for line in log.splitlines()]
    return [re.sub(r" \([-+\d.einf]+ iter/s, [-+\d.e]+s/\d+ iters\)", "", line) for line in lines]
