"""Weights and solver states in files: Caffe's own formats, and torch's for weights."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuning_service.caffe import log, wire
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.compile import Net

TORCH_SUFFIXES = frozenset({".pt", ".pth"})
MODEL, STATE = ".caffemodel", ".solverstate"


def _array(blob: Tensor) -> wire.Array:
    return np.asarray(blob.detach().cpu().numpy(), np.float32)


def save_weights(path: Path, name: str, net: Net) -> None:
    """A .caffemodel with the blobs of all layers."""
    layers = [(layer, net.kinds[layer], [_array(b) for b in blobs]) for layer, blobs in net.blobs.items()]
    _write(path, wire.write_weights(name, layers))


def load_weights(path: Path) -> dict[str, list[wire.Array]]:
    """Blobs by layer, of a .caffemodel (Caffe's or ours) or of a checkpoint that `export --torch` wrote.

    Raises:
        CheckFailed: it cannot be read as one of them.
    """
    try:
        if path.suffix not in TORCH_SUFFIXES:
            return wire.read_weights(path.read_bytes())
        kept = torch.load(path, map_location="cpu", weights_only=True)
        return {name: [_array(blob) for blob in blobs] for name, blobs in kept["blobs"].items()}
    except CheckFailed as error:
        raise CheckFailed(f"the weights {path} cannot be read: {error}") from error
    except OSError as error:
        raise CheckFailed(f"the weights {path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what torch.load raises for a foreign file has no common base
        raise CheckFailed(f"the weights {path} cannot be read as a checkpoint of this runtime") from error


def copy_weights(weights: Mapping[str, Sequence[wire.Array]], net: Net, source: str) -> None:
    """Into the layers of the same names; a layer that one side lacks is left alone, as Caffe does, and told of.

    Raises:
        CheckFailed: a layer's blobs are of other shapes.
    """
    for layer, arrays in weights.items():
        blobs = net.blobs.get(layer)
        if blobs is None:
            log.info("net.cpp:744", f"Ignoring source layer {layer}")
            continue
        check(
            len(blobs) == len(arrays),
            f'layer "{layer}" has {len(blobs)} blobs, and {len(arrays)} in {source}: rename it to train it anew',
        )
        for index, (blob, array) in enumerate(zip(blobs, arrays, strict=True)):
            # Old files write a bias as 1 x 1 x 1 x n.
            same = [d for d in blob.shape if d != 1] == [d for d in array.shape if d != 1]
            check(
                same,
                f'Cannot copy param {index} weights from layer "{layer}"; shape mismatch. Source param shape is '
                f"{array.shape}; target param shape is {tuple(blob.shape)}. To learn this layer's parameters from "
                "scratch rather than copying from a saved net, rename the layer.",
            )
            with torch.no_grad():
                blob.copy_(torch.from_numpy(array.copy()).reshape(blob.shape))
    for layer, blobs in net.blobs.items():
        if blobs and layer not in weights:
            log.info("net.cpp:744", f"Layer {layer} is not in {source}: it starts as it was filled")


def save_state(path: Path, state: wire.SolverState) -> None:
    """A .solverstate."""
    _write(path, wire.write_state(state))


def load_state(path: Path) -> wire.SolverState:
    """Of a .solverstate. Raises CheckFailed."""
    try:
        return wire.read_state(path.read_bytes())
    except OSError as error:
        raise CheckFailed(f"the solver state {path} cannot be read: {error.strerror or error}") from error
    except CheckFailed as error:
        raise CheckFailed(f"the solver state {path} cannot be read: {error}") from error


def _write(path: Path, data: bytes) -> None:
    """All or nothing: who is killed while writing leaves the file that was there."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise CheckFailed(f"the snapshot {path} cannot be written: {error.strerror or error}") from error


def pack(extra: Mapping[str, Any], device: torch.device) -> bytes:
    """What Caffe's solver state has no field for: `extra`, as JSON, and the state of torch's generators."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    coded = {name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()}
    return json.dumps({**extra, "rng": coded}).encode()


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` was given, with the generators' states in it. {} of a state that Caffe wrote."""
    if not data:
        return {}
    try:
        extra: dict[str, Any] = json.loads(data)
        extra["rng"] = {name: bytearray(base64.b64decode(state)) for name, state in extra["rng"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckFailed("the solver state is damaged") from error
    return extra


def set_generators(extra: Mapping[str, Any], device: torch.device) -> None:
    """Torch's random numbers go on where they were, by what `unpack` gave."""
    states = {name: torch.frombuffer(state, dtype=torch.uint8) for name, state in extra["rng"].items()}
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
