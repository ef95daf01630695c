"""`python -m benchmarks.caffe_runtime`: both sides in one process, in short turns; `--help` tells more."""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks.caffe_runtime.nets import Case, cases
from tuning_service.caffe.schema import SolverParameter
from tuning_service.caffe.solver import Solver

_RATE, _MOMENTUM, _DECAY = 0.01, 0.9, 0.0005


def _ours(case: Case, folder: Path, device: torch.device) -> tuple[Callable[[], None], int]:
    """A whole iteration of the solver, its data handed over by the reader's thread."""
    dims = " ".join(f"dim: {d}" for d in (case.batch, *case.shape))
    (folder / "net.prototxt").write_text(
        'layer { name: "in" type: "DummyData" top: "data" top: "label" dummy_data_param { '
        f"shape {{ {dims} }} shape {{ dim: {case.batch} }} "
        'data_filler { type: "constant" value: 0.5 } data_filler { type: "constant" value: 3 } } }\n'
        f"{case.layers}"
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }\n'
    )
    message = SolverParameter(
        net="net.prototxt",
        base_lr=_RATE,
        momentum=_MOMENTUM,
        weight_decay=_DECAY,
        lr_policy="fixed",
        max_iter=10**9,
        random_seed=1,
    )
    solver = Solver(message, folder / "solver.prototxt", device)
    return solver.step, sum(one.parameter.numel() for one in solver.train.net.learnable)


def _theirs(case: Case, device: torch.device) -> tuple[Callable[[], None], int]:
    net = case.handwritten().to(device).train()
    weights = [p for p in net.parameters() if p.dim() > 1]
    biases = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD(
        [{"params": weights}, {"params": biases, "lr": 2 * _RATE, "weight_decay": 0.0}],
        lr=_RATE,
        momentum=_MOMENTUM,
        weight_decay=_DECAY,
    )
    images = torch.full((case.batch, *case.shape), 0.5, device=device)
    labels = torch.full((case.batch,), 3, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step, sum(p.numel() for p in net.parameters())


def _turn(step: Callable[[], None], steps: int, device: torch.device) -> float:
    """Seconds of one step."""
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / steps


def measure(case: Case, rounds: int, device: torch.device) -> dict[str, Any]:
    """Turns alternate, and who begins does too: what else the machine does falls on both alike."""
    with tempfile.TemporaryDirectory() as folder:
        ours, parameters = _ours(case, Path(folder), device)
        theirs, same = _theirs(case, device)
        assert parameters == same, (parameters, same)
        for warm in (ours, theirs):
            _turn(warm, 2, device)
        times: dict[str, list[float]] = {"runtime": [], "handwritten": []}
        for number in range(rounds):
            sides = [("runtime", ours), ("handwritten", theirs)]
            for name, step in sides if number % 2 else sides[::-1]:
                times[name].append(_turn(step, case.steps, device))
    ratios = [b / a for a, b in zip(times["runtime"], times["handwritten"], strict=True)]
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "net": case.name,
        "parameters": parameters,
        "batch": case.batch,
        "rounds": rounds,
        "runtime_images_per_s": case.batch / statistics.median(times["runtime"]),
        "handwritten_images_per_s": case.batch / statistics.median(times["handwritten"]),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [quartiles[0], quartiles[2]],
    }


def main() -> None:
    """Print each net's line and write all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--alexnet-batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/caffe_runtime.json"))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device(chosen.device)
    made = []
    for case in cases(chosen.alexnet_batch):
        made.append(measure(case, chosen.rounds, device))
        print(json.dumps(made[-1]), flush=True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    told = {"device": name, "threads": chosen.threads, "torch": torch.__version__, "nets": made}
    chosen.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
