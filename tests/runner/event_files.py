"""Writes event files with scalars, as the formats' publications say."""

import struct

from tuning_service.runner.tensorboard import crc32c


def record(data):
    def masked(part):
        value = crc32c(part)
        return struct.pack("<I", (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value):
    value %= 2**64
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def event(step, wall=1.0e9, **values):
    """A record with the scalars of one step; dots in names stand for slashes."""
    summary = b"".join(
        field(1, field(1, tag.replace(".", "/").encode()) + varint(2 << 3 | 5) + struct.pack("<f", value))
        for tag, value in values.items()
    )
    return record(field(1, wall) + field(2, step) + field(5, summary))


def tensor_event(step, tag, tensor, plugin=b"scalars"):
    value = field(1, tag.encode()) + field(8, tensor) + field(9, field(1, field(1, plugin)))
    return record(field(1, 1.0) + field(2, step) + field(5, field(1, value)))
