"""Spaces and histories that search algorithms are checked on."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tuning_service.domain.parameters import Params
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.transform import SpaceTransform

_FLAT: dict[str, dict[str, Any]] = {
    "lr": {"type": "float", "min": 1.0e-4, "max": 0.3, "scale": "log"},
    "dropout": {"type": "float", "min": 0.0, "max": 0.6},
    "decay": {"type": "float", "min": 0.0, "max": 1.0, "step": 0.1},
    "batch_size": {"type": "int", "min": 16, "max": 256, "scale": "pow2"},
    "width": {"type": "int", "min": 8, "max": 512, "scale": "log"},
    "layers": {"type": "int", "min": 1, "max": 4},
    "size": {"type": "ordinal", "values": ["s", "m", "l"]},
    "bias": {"type": "bool"},
    "fixed": {"type": "fixed", "value": 3},
}
_OPTIMIZER: dict[str, dict[str, Any]] = {
    "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
    "nesterov": {"type": "bool", "when": {"optimizer": ["sgd"]}},
    "dampening": {"type": "float", "min": 0.0, "max": 0.9, "when": {"nesterov": [False]}},
    "optimizer": {"type": "categorical", "values": ["sgd", "adam", 1, True]},
}
_NUMBERS: dict[str, dict[str, Any]] = {
    "x": {"type": "float", "min": -5.0, "max": 5.0},
    "lr": {"type": "float", "min": 1e-5, "max": 1.0, "scale": "log"},
    "n": {"type": "int", "min": 1, "max": 64},
}

# Most general first; an algorithm is checked on the first that it does not refuse.
NESTED = Space.from_dict(_FLAT | _OPTIMIZER)
ROOMY = (NESTED, Space.from_dict(_FLAT), Space.from_dict(_NUMBERS))
CONSTRAINED = (
    Space.from_dict(_FLAT | _OPTIMIZER, ["width * layers <= 256", "optimizer != 'sgd' or lr < 0.1", "lr < momentum"]),
    Space.from_dict(_FLAT, ["width * layers <= 256", "lr < dropout"]),
    Space.from_dict(_NUMBERS, ["n * lr <= 1", "x + n < 40"]),
)
LINE = (
    Space.from_dict({name: {"type": "int", "min": 0, "max": 10} for name in "ab"}, ["a + b == 10"]),
    Space.from_dict({"a": {"type": "int", "min": 0, "max": 20}}, ["a % 2 == 0"]),
)
# Finite ones, of 18 configurations.
SMALL_FLAT = Space.from_dict(
    {
        "n": {"type": "int", "min": 1, "max": 3},
        "size": {"type": "ordinal", "values": ["s", "m", "l"]},
        "flag": {"type": "bool"},
    }
)
SMALL = (
    Space.from_dict(
        {
            "kind": {"type": "categorical", "values": ["a", "b"]},
            "n": {"type": "int", "min": 1, "max": 3},
            "flag": {"type": "categorical", "values": [True, 1], "when": {"kind": ["a"]}},
            "size": {"type": "int", "min": 2, "max": 16, "scale": "pow2", "when": {"kind": ["b"]}},
        }
    ),
    SMALL_FLAT,
    Space.from_dict({"n": {"type": "int", "min": 1, "max": 18}}),
)
ONE = Space.from_dict({"x": {"type": "float", "min": 0.5, "max": 0.5}})


def loss(space: Space, params: Params) -> float:
    """Least at a third of each parameter's range."""
    units = np.nan_to_num(SpaceTransform(space).to_unit(params), nan=1.0)
    return float(((units - 1 / 3) ** 2).sum())


def observation(space: Space, number: int, params: Params) -> Observation:
    """Of a completed trial with one objective."""
    return Observation.of(number=number, params=params, loss=loss(space, params))


def history(
    space: Space,
    count: int,
    *,
    objectives: int = 1,
    violating: float | None = None,
    failing: bool = False,
    job: str = "",
    offset: float = 0.0,
    seed: int = 11,
) -> list[Observation]:
    """`count` ended trials at random places. Every fourth failed when `failing`; a share `violating` is infeasible."""
    transform = SpaceTransform(space)
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        params = transform.sample(rng)
        first = loss(space, params) + offset
        losses = (first, *(abs(math.sin(i * first)) for i in range(1, objectives)))
        violation = 1.0 + first if number < count * (violating or 0.0) else -1.0
        found.append(
            Observation(
                number=number,
                params=params,
                losses=None if failing and number % 4 == 1 else losses,
                violations=() if violating is None or (failing and number % 4 == 1) else (violation,),
                job=job,
            )
        )
    return found


def everything(space: Space, *, job: str = "") -> list[Observation]:
    """A completed trial for each configuration of a finite space."""
    return [
        Observation(number=i, params=params, losses=(loss(space, params),), job=job)
        for i, params in enumerate(SpaceTransform(space).enumerate())
    ]


def odd_histories(space: Space) -> Mapping[str, Sequence[Observation]]:
    """What trials did, and fourteen that did it."""
    kinds: dict[str, Callable[[float, int], float | None]] = {
        "all failed": lambda _loss, _number: None,
        "all had the same value": lambda _loss, _number: 1.5,
        "failed mostly": lambda loss, number: loss if number % 4 == 0 else None,
        "failed all but one": lambda loss, number: loss if number == 9 else None,
        "had huge values": lambda loss, number: 1e300 if number % 3 == 0 else -1e300 * loss,
        "had nan and inf": lambda _loss, number: math.nan if number % 2 else math.inf,
        "had nan among others": lambda loss, number: math.nan if number % 2 else loss,
        "had tiny values": lambda loss, _number: 1e-300 * loss,
    }
    sampled = history(space, 14)
    return {
        kind: [Observation.of(number=o.number, params=o.params, loss=of(o.loss or 0.0, o.number)) for o in sampled]
        for kind, of in kinds.items()
    }
