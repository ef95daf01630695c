"""Caffe's binary files (.caffemodel, .solverstate, .binaryproto), read and written in protobuf's wire format.

Weights are nearly all of such a file, and stand there as plain little-endian floats: taken as they are they cost no
Python object each. The field numbers are those of the published caffe.proto.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tuning_service.caffe.checks import CheckFailed

Array = npt.NDArray[np.float32]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# A field of SolverState that Caffe does not know, and so leaves alone: what it cannot resume.
_EXTRA = 1000


@dataclass(kw_only=True)
class SolverState:
    """`history` in the order of the solver's learnable blobs; `extra` is this runtime's own, b"" in Caffe's files."""

    iteration: int
    learned_net: str
    history: list[Array]
    current_step: int = 0
    extra: bytes = b""


@dataclass(kw_only=True)
class _Blob:
    dims: list[int] = field(default_factory=list)
    old: dict[int, int] = field(default_factory=dict)
    parts: list[npt.NDArray[np.generic]] = field(default_factory=list)


def write_weights(name: str, layers: Sequence[tuple[str, str, Sequence[Array]]]) -> bytes:
    """A .caffemodel of (layer, type, blobs)."""
    out = [_bytes_field(1, name.encode())]
    for layer, kind, blobs in layers:
        body = [_bytes_field(1, layer.encode()), _bytes_field(2, kind.encode())]
        body += [_bytes_field(7, write_blob(blob)) for blob in blobs]
        out.append(_bytes_field(100, b"".join(body)))
    return b"".join(out)


def read_weights(data: bytes) -> dict[str, list[Array]]:
    """Blobs of each layer that has some, of a .caffemodel of the present form or the one before (V1)."""
    found: dict[str, list[Array]] = {}
    for number, value in _fields(memoryview(data)):
        if number not in {2, 100} or not isinstance(value, memoryview):
            continue
        name_field, blob_field = (1, 7) if number == 100 else (4, 6)
        name, blobs = "", []
        for inner, part in _fields(value):
            if inner == name_field and isinstance(part, memoryview):
                name = bytes(part).decode(errors="replace")
            elif inner == blob_field and isinstance(part, memoryview):
                blobs.append(_read_blob(part))
        if blobs:
            found[name] = blobs
    return found


def write_state(state: SolverState) -> bytes:
    """A .solverstate."""
    out = [_int_field(1, state.iteration), _bytes_field(2, state.learned_net.encode())]
    out += [_bytes_field(3, write_blob(blob)) for blob in state.history]
    out += [_int_field(4, state.current_step), _bytes_field(_EXTRA, state.extra)]
    return b"".join(out)


def read_state(data: bytes) -> SolverState:
    """Of a .solverstate, Caffe's own too."""
    state = SolverState(iteration=0, learned_net="", history=[])
    for number, value in _fields(memoryview(data)):
        if isinstance(value, int):
            if number == 1:
                state.iteration = value
            elif number == 4:
                state.current_step = value
        elif number == 2:
            state.learned_net = bytes(value).decode(errors="replace")
        elif number == 3:
            state.history.append(_read_blob(value))
        elif number == _EXTRA:
            state.extra = bytes(value)
    return state


def read_blob(data: bytes) -> Array:
    """Of a .binaryproto, as mean files are."""
    return _read_blob(memoryview(data))


def write_blob(blob: Array) -> bytes:
    """A .binaryproto; models and solver states hold the same."""
    dims = b"".join(_varint(n) for n in blob.shape)
    data = np.ascontiguousarray(blob, dtype="<f4").tobytes()
    return _bytes_field(7, _bytes_field(1, dims)) + _bytes_field(5, data)


def _read_blob(data: memoryview) -> Array:
    blob = _Blob()
    for number, value in _fields(data):
        if number in {1, 2, 3, 4} and isinstance(value, int):
            blob.old[number] = value
        elif number == 7 and isinstance(value, memoryview):
            blob.dims = _dims(value)
        elif number in {5, 8} and isinstance(value, memoryview):
            blob.parts.append(np.frombuffer(value, dtype="<f4" if number == 5 else "<f8"))
    flat = np.concatenate([part.astype(np.float32) for part in blob.parts]) if blob.parts else np.zeros(0, np.float32)
    shape = blob.dims or [blob.old.get(i, 1) for i in (1, 2, 3, 4)] if blob.dims or blob.old else [len(flat)]
    try:
        return flat.reshape(shape)
    except ValueError:
        raise CheckFailed(f"a blob of the file has {len(flat)} values, and the shape {shape}") from None


def _dims(data: memoryview) -> list[int]:
    dims: list[int] = []
    for number, value in _fields(data):
        if number != 1:
            continue
        if isinstance(value, int):
            dims.append(value)
            continue
        at = 0
        while at < len(value):
            dim, at = _read_varint(value, at)
            dims.append(dim)
    return dims


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value): an int for varints, the bytes for everything else."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise CheckFailed("the file is not one of Caffe's binary files")
        if at + size > len(data):
            raise CheckFailed("the file ends in the middle: it is cut off, or not one of Caffe's binary files")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise CheckFailed("the file ends in the middle: it is cut off, or not one of Caffe's binary files")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int_field(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value
