"""What made-up trainings come to: a space, what its configurations are worth, and how such trainings end."""

import heapq
import math
import random
from collections.abc import Mapping
from typing import Any

SPACE: Mapping[str, Any] = {
    "lr": {"type": "float", "min": 1e-5, "max": 0.3, "scale": "log", "default": 0.001},
    "optimizer": {"type": "categorical", "values": ["sgd", "adam", "adamw"], "default": "adam"},
    "batch_size": {"type": "int", "min": 16, "max": 512, "scale": "pow2", "default": 64},
    "dropout": {"type": "float", "min": 0.0, "max": 0.7, "default": 0.2},
    "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
    "weight_decay": {"type": "float", "min": 1e-6, "max": 1e-2, "scale": "log"},
    "width": {"type": "int", "min": 16, "max": 256, "scale": "log"},
}
_BEST_LR = {"sgd": -1.3, "adam": -2.7, "adamw": -2.9}


def configuration(draw: random.Random) -> dict[str, Any]:
    """Any of SPACE."""
    chosen: dict[str, Any] = {
        "lr": 10 ** draw.uniform(-5, -0.523),
        "optimizer": draw.choice(["sgd", "adam", "adamw"]),
        "batch_size": 2 ** draw.randrange(4, 10),
        "dropout": draw.uniform(0, 0.7),
        "weight_decay": 10 ** draw.uniform(-6, -2),
        "width": round(math.exp(draw.uniform(math.log(16), math.log(256)))),
    }
    if chosen["optimizer"] == "sgd":
        chosen["momentum"] = draw.uniform(0, 0.99)
    return chosen


def accuracy(params: Mapping[str, Any]) -> float:
    """What a training with these values would come to."""
    off = abs(math.log10(params["lr"]) - _BEST_LR[params["optimizer"]])
    loss = 0.035 + 0.055 * off**2 + 0.25 * (params["dropout"] - 0.22) ** 2
    loss += 0.006 * abs(math.log2(params["batch_size"] / 64)) + 0.09 * max(0.0, math.log(160 / params["width"])) / 5
    loss += 0.02 * abs(params.get("momentum", 0.9) - 0.9) + 0.004 * abs(math.log10(params["weight_decay"]) + 4)
    return max(0.1, 1 - loss)


def latency_ms(params: Mapping[str, Any]) -> float:
    """What answering one question would take with such a network."""
    return 1.5 + 0.055 * params["width"] + 0.0001 * params["width"] ** 1.7


def suggested(draw: random.Random, number: int, found: list[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """At first anything, later more and more what is near the best so far."""
    if number < 12 or not found or draw.random() < 0.15:
        return configuration(draw)
    params = dict(draw.choice(heapq.nlargest(6, found, key=lambda each: each[0]))[1])
    params["lr"] = min(0.3, max(1e-5, params["lr"] * 10 ** draw.gauss(0, 0.25)))
    params["dropout"] = min(0.7, max(0.0, params["dropout"] + draw.gauss(0, 0.09)))
    params["width"] = round(min(256, max(16, params["width"] * math.exp(draw.gauss(0, 0.2)))))
    params["weight_decay"] = min(1e-2, max(1e-6, params["weight_decay"] * 10 ** draw.gauss(0, 0.4)))
    if draw.random() < 0.25:
        params["batch_size"] = 2 ** draw.randrange(4, 10)
    return params


def learning_curve(draw: random.Random, final: float, points: int) -> list[float]:
    """Rises to about `final`."""
    pace = draw.uniform(2.5, 7.0)
    return [
        final - (final - 0.08) * math.exp(-pace * step / points) - abs(draw.gauss(0, 0.006))
        for step in range(1, points + 1)
    ]


def out_of_memory(draw: random.Random, params: Mapping[str, Any]) -> tuple[str, str] | None:
    """Wide nets with large batches, and now and then one that diverges."""
    if params["width"] * params["batch_size"] > 24_000 and draw.random() < 0.8:
        return "out of memory", "CUDA out of memory: tried to allocate 2.44 GiB on GPU 0."
    if params["lr"] > 0.12 and draw.random() < 0.7:
        return "non-zero exit", "The program ended with exit code 1: loss is NaN after epoch 3."
    return None


def always_out_of_memory(_draw: random.Random, _params: Mapping[str, Any]) -> tuple[str, str]:
    return "out of memory", "CUDA out of memory: tried to allocate 9.10 GiB on GPU 0."
