"""The commands beside training: `test` scores a net, `time` clocks one."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tuning_service.caffe import log, snapshot
from tuning_service.caffe.checks import check
from tuning_service.caffe.nets import FedNet, NetFile, build, load_net
from tuning_service.caffe.schema import TEST, TRAIN, NetState

_SEED = 1


def _fed(path: Path, device: torch.device, state: tuple[int, Sequence[str]], *, training: bool) -> FedNet:
    level, stages = state
    message = NetState(phase=TRAIN if training else TEST, level=level, stage=list(stages))
    file = NetFile(message=load_net(path), folder=path.parent, state=message)
    return build(file, seed=_SEED, generator=torch.Generator().manual_seed(_SEED), device=device)


@torch.no_grad()
def score(
    path: Path, weights: Sequence[str], iterations: int, device: torch.device, state: tuple[int, Sequence[str]]
) -> None:
    """Print the outputs of each batch, then their means.

    Raises:
        CheckFailed, NetError: the net, its data or its weights cannot be used.
    """
    check(iterations > 0, "iterations must be above 0")
    fed = _fed(path, device, state, training=False)
    for name in weights:
        snapshot.copy_weights(snapshot.load_weights(Path(name)), fed.net, name)
    log.info("caffe.cpp:281", f"Running for {iterations} iterations.")
    sums: list[Tensor] = []
    total = 0.0
    try:
        for number in range(iterations):
            loss, outputs = fed.net(fed.feed.next())
            sums = [a + b for a, b in zip(sums, outputs, strict=True)] if sums else [x.float() for x in outputs]
            total += 0.0 if loss is None else float(loss)
            for output, value in zip(fed.net.outputs, outputs, strict=True):
                for one in value.reshape(-1).tolist():
                    log.info("caffe.cpp:304", f"Batch {number}, {output.name} = {log.number(one)}")
    finally:
        fed.feed.close()
    log.info("caffe.cpp:309", f"Loss: {log.number(total / iterations)}")
    for output, value in zip(fed.net.outputs, sums, strict=True):
        for one in (value / iterations).reshape(-1).tolist():
            part = f" (* {log.number(output.weight)} = {log.number(output.weight * one)} loss)" if output.weight else ""
            log.info("caffe.cpp:321", f"{output.name} = {log.number(one)}{part}")


def clock(
    path: Path, iterations: int, device: torch.device, state: tuple[int, Sequence[str]], *, training: bool
) -> None:
    """Print the mean times of a forward and a backward pass, on one batch. Raises as `score`."""
    check(iterations > 0, "iterations must be above 0")
    fed = _fed(path, device, state, training=training)
    try:
        batch = fed.feed.next()
    finally:
        fed.feed.close()
    with torch.set_grad_enabled(training):
        _pass(fed, batch, device)
        passes = [_pass(fed, batch, device) for _ in range(iterations)]
    log.info("caffe.cpp:347", f"*** Benchmark begins ***\nTesting for {iterations} iterations.")
    for name, index in (("Forward", 0), ("Backward", 1)):
        mean = 1000 * sum(one[index] for one in passes) / iterations
        log.info("caffe.cpp:410", f"Average {name} pass: {log.number(mean)} ms.")
    log.info("caffe.cpp:417", "*** Benchmark ends ***")


def _pass(fed: FedNet, batch: dict[str, Tensor], device: torch.device) -> tuple[float, float]:
    """Seconds of forward and of backward."""
    times = [_now(device)]
    loss, _ = fed.net(batch)
    times.append(_now(device))
    if loss is not None and loss.requires_grad:
        loss.backward()
    times.append(_now(device))
    fed.net.zero_grad(set_to_none=True)
    return times[1] - times[0], times[2] - times[1]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
