"""Made-up logs: lines of noise as frameworks and Spark print them, and measurements of one format among them."""

import json
import random
from collections.abc import Callable, Iterator

_NOISE = (
    "26/01/02 12:30:{s:02d} INFO BlockManagerInfo: Added broadcast_{n}_piece0 in memory on host:{p} (size: 4.2 KiB)",
    '2026-01-02 12:30:{s:02d},{n:03d} DEBUG urllib3.pool: https://host:443 "GET /data/{n} HTTP/1.1" 200 None',
    "I0102 12:30:{s:02d}.123456  4242 data_layer.cpp:73] Restarting data prefetching from start.",
    "W0000 00:00:17952468{s:02d}.306210   14150 cpu_feature_guard.cc:153] This binary is optimized to use instructions",
    "loading shard {n} of 5005 from /data/imagenet/train/shard-{n:05d}.tar",
    "  warnings.warn(f'{{name}} is deprecated and will be removed in a future version', FutureWarning)",
    "[NCCL] {n}:{p} Channel 00/02 : 0[0] -> 1[1] via P2P/direct pointer",
    '  File "/env/lib/python3.11/site-packages/torch/utils/data/dataloader.py", line {n}, in __next__',
)
_BAR = "━" * 20


def _keras(n: int, value: float) -> str:
    head = f"Epoch {n}/999\n32/32 {_BAR} 1s 3ms/step"
    return f"{head} - accuracy: {1 - value:.4f} - loss: {value:.4f} - val_loss: {value:.4f}"


def _tqdm(n: int, value: float) -> str:
    head = f"\rEpoch {n}:  50%|#####     | 16/32 [00:01<00:01, 30.0it/s, loss={value:.3f}]"
    return f"{head}\rEpoch {n}: 100%|##########| 32/32 [00:02<00:00, 30.1it/s, loss={value:.3f}, val_loss={value:.3f}]"


def _caffe(n: int, value: float) -> str:
    head = "I0102 12:30:01.123456  4242 solver.cpp"
    return (
        f"{head}:331] Iteration {n}, Testing net (#0)\n{head}:398]     Test net output #0: accuracy = {1 - value:.4f}\n"
        f"{head}:219] Iteration {n} (98.7 iter/s, 1.01s/100 iters), loss = {value:.5f}"
    )


def _pytorch(n: int, value: float) -> str:
    return (
        f"Train Epoch: {n} [640/60000 (1%)]\tLoss: {value:.6f}\n"
        f"Test set: Average loss: {value:.4f}, Accuracy: 9870/10000 (99%)"
    )


MEASUREMENTS: dict[str, Callable[[int, float], str]] = {
    "json": lambda n, value: json.dumps({"epoch": n, "loss": value, "val_loss": value, "note": "x"}),
    "pairs": lambda n, value: f"2026-01-02 12:30:01,123 INFO trainer: epoch {n} loss={value:.4f} val_loss={value:.4f}",
    "keras": _keras,
    "bars": _tqdm,
    "dicts": lambda n, value: f"{{'loss': {value:.4f}, 'grad_norm': 1.5, 'learning_rate': 5e-05, 'epoch': {n}.0}}",
    "pytorch": _pytorch,
    "estimator": lambda n, value: f"INFO:tensorflow:Saving dict for global step {n}: auc = 0.9, loss = {value:.4f}",
    "caffe": _caffe,
    "elog": lambda n, value: (
        f"[2026-01-02 12:30] Test,\tTimestamp: 1767353401000,\tGlobal steps: {n},\tIteration: {n},\tLoss: {value:.5f}"
    ),
    "noise": lambda *_: "",
}


def generate(form: str, size: int, share: float) -> Iterator[bytes]:
    """About `size` bytes, in pieces; `share` of the lines are followed by a measurement of `form`."""
    rng = random.Random(form)
    made = number = 0
    while made < size:
        lines = []
        for _ in range(500):
            number += 1
            lines.append(rng.choice(_NOISE).format(n=number % 5000, s=number % 60, p=1024 + number % 60000))
            if rng.random() < share and form != "noise":
                lines.append(MEASUREMENTS[form](number, rng.random()))
        piece = ("\n".join(lines) + "\n").encode()
        made += len(piece)
        yield piece
