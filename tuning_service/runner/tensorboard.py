"""TensorBoard's event files, read without TensorBoard: the framing of TFRecord, and of protobuf's wire format what is
needed for scalars.

A record is its length (8 bytes), the length's check sum (4), the data, the data's check sum (4), all little-endian;
a check sum is CRC-32C, rotated and shifted as in `_masked`. Fields by number, as tensorflow/core/framework and
tensorflow/core/util/event.proto publish them:

    Event        1 wall_time (double)  2 step (int64)  5 summary
    Summary      1 value (repeated)
    Value        1 tag  2 simple_value (float)  8 tensor  9 metadata
    Metadata     1 plugin_data: 1 plugin_name
    TensorProto  1 dtype  2 shape: 2 dim (repeated)  4 content  5 float  6 double  7 int  10 int64  13 half
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST = 2**20  # bytes of a record: longer ones hold pictures, graphs and the like
_LONGEST_CHECKED = 8192  # a check sum costs a microsecond for ten bytes
_LONGEST_TAG = 500
_POLYNOMIAL = 0x82F63B78


class Scalar(NamedTuple):
    """One scalar of an event file."""

    tag: str
    step: int
    value: float
    wall: float  # seconds since 1970


class EventReader:
    """Bytes in, scalars out. Never raises. `damage` says why reading ended, or what was left out; "" when all is well.

    A record that is not complete yet waits for the rest of it. After a damaged length nothing more can be found.
    """

    def __init__(self) -> None:
        self.damage = ""
        self._rest = b""
        self._skip = 0
        self._at = 0  # bytes of the file before `_rest`
        self._lost = False

    def feed(self, data: bytes) -> Iterator[Scalar]:
        """The scalars of the records that `data` completes."""
        if self._lost:
            return
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            self._at += skipped
            data = data[skipped:]
        buffer, at = self._rest + data, 0
        while len(buffer) - at >= 12:
            length, check = struct.unpack_from("<QI", buffer, at)
            if _masked(buffer[at : at + 8]) != check:
                self._lost = True
                self.damage = f"damaged at byte {self._at + at}: nothing after that could be read"
                return
            end = at + 12 + length + 4
            if length > _LONGEST:
                self._skip = max(0, end - len(buffer))
                at = min(end, len(buffer))
                continue
            if end > len(buffer):
                break
            yield from self._record(buffer[at + 12 : end - 4], buffer[end - 4 : end], self._at + at)
            at = end
        self._rest = buffer[at:]
        self._at += at

    def _record(self, record: bytes, check: bytes, at: int) -> Iterator[Scalar]:
        if len(record) <= _LONGEST_CHECKED and _masked(record) != struct.unpack("<I", check)[0]:
            self.damage = f"the record at byte {at} is damaged, and was left out"
            return
        try:
            yield from _scalars(record)
        except (ValueError, IndexError, struct.error, OverflowError):
            self.damage = f"the record at byte {at} could not be read"


def _table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    table, value = _CRC, 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> int:
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _scalars(record: bytes) -> Iterator[Scalar]:
    wall, step = 0.0, 0
    summaries = []
    for field, value in _fields(record):
        if field == 1 and isinstance(value, bytes):
            (wall,) = struct.unpack("<d", value)
        elif field == 2 and isinstance(value, int):
            step = _signed(value)
        elif field == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for field, value in _fields(summary):
            if field == 1 and isinstance(value, bytes) and (found := _value(value)) is not None:
                yield Scalar(found[0], step, found[1], wall)


def _value(data: bytes) -> tuple[str, float] | None:
    """Tag and number of one value; None when it is no scalar."""
    tag, plugin, number = "", "", None
    for field, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            tag = value[:_LONGEST_TAG].decode("utf-8", "replace")
        elif field == 2:
            (number,) = struct.unpack("<f", value)
        elif field == 8:
            number = _tensor(value)
        elif field == 9:
            plugin = _plugin(value)
    if number is None or not tag.strip() or plugin not in {"", "scalars"}:
        return None
    return tag, _shortest(number)


def _plugin(metadata: bytes) -> str:
    for field, value in _fields(metadata):
        if field == 1 and isinstance(value, bytes):
            for inner, name in _fields(value):
                if inner == 1 and isinstance(name, bytes):
                    return name.decode("utf-8", "replace")
    return ""


# Of a dtype: how its content is written, and the field that may hold it instead.
_DTYPES = {1: ("<f", 5), 2: ("<d", 6), 3: ("<i", 7), 5: ("<h", 7), 6: ("<b", 7), 4: ("<B", 7), 9: ("<q", 10)}
_HALF, _BFLOAT16 = 19, 14


def _tensor(data: bytes) -> float | None:
    """The number in a tensor without dimensions; None when it has some, or is of another type."""
    dtype = 0
    parts: dict[int, bytes | int] = {}
    for field, value in _fields(data):
        if field == 1 and isinstance(value, int):
            dtype = value
        elif field == 2 and isinstance(value, bytes):
            if any(inner == 2 for inner, _ in _fields(value)):
                return None
        else:
            parts[field] = value
    content = parts.get(4)
    if dtype in {_HALF, _BFLOAT16}:
        bits = content if isinstance(content, bytes) else _packed_varint(parts.get(13)).to_bytes(2, "little")
        wide = bits if dtype == _HALF else b"\0\0" + bits
        return float(struct.unpack("<e" if dtype == _HALF else "<f", wide)[0])
    if dtype not in _DTYPES:
        return None
    form, field = _DTYPES[dtype]
    if not isinstance(content, bytes):
        held = parts.get(field)
        if held is None:
            return 0.0  # the default is not written
        if dtype not in {1, 2}:
            return float(_signed(_packed_varint(held)))
        content = held if isinstance(held, bytes) else b""
    return float(struct.unpack(form, content)[0])


def _packed_varint(held: bytes | int | None) -> int:
    if isinstance(held, int):
        return held
    return _varint(held, 0)[0] if held else 0


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _shortest(value: float) -> float:
    """A 32-bit float as people write it: 0.1, not 0.10000000149011612."""
    for digits in (7, 8, 9):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.unpack("<f", struct.pack("<f", short))[0] == value:
                return short
        except OverflowError:
            break
    return value


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field; numbers of fixed width as their bytes."""
    at, size = 0, len(data)
    while at < size:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in {1, 5}:
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > size:
            raise ValueError("cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
