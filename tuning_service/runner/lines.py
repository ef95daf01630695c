"""Bytes of a log as they come, in bounded memory: the part of them that is uploaded."""

import codecs
import io
from collections import deque

_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 100
_PIECE = 64 * 1024


class LogWindow:
    """What is uploaded of a log: the first half of `limit` bytes as they come, and the last half at the end.

    Between them stands a line that says how much was left out. Text is UTF-8 without null characters, whatever the
    program printed. Offsets count the uploaded bytes.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ready = io.StringIO()
        self._taken = 0  # bytes of the first half so far
        self._ring: deque[bytearray] = deque()
        self._ring_bytes = 0
        self._left_out = 0
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take note of what was printed."""
        self._tail = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        self._add(self._decoder.decode(data))

    def _add(self, text: str) -> None:
        data = text.replace("\0", "\ufffd").encode()
        room = self._half - self._taken
        if len(data) <= room:
            self._ready.write(data.decode())
            self._taken += len(data)
            return
        if room:
            while data[room] & 0xC0 == 0x80 and room:  # not within a character
                room -= 1
            self._ready.write(data[:room].decode())
            self._taken, data = self._half, data[room:]
        # A program that prints byte by byte would otherwise fill the ring with objects.
        if self._ring and len(self._ring[-1]) < _PIECE:
            self._ring[-1] += data
        else:
            self._ring.append(bytearray(data))
        self._ring_bytes += len(data)
        while self._ring_bytes > self._half:
            oldest, excess = self._ring[0], self._ring_bytes - self._half
            if len(oldest) <= excess:
                self._ring.popleft()
            else:
                self._ring[0] = oldest[excess:]
            gone = min(len(oldest), excess)
            self._ring_bytes -= gone
            self._left_out += gone

    def ready(self) -> str:
        """Text that is to be uploaded now."""
        return self._ready.getvalue()

    def taken(self) -> None:
        """What `ready` gave is on its way."""
        self._ready = io.StringIO()

    def finish(self) -> None:
        """Make the last half ready. Nothing is fed after this."""
        self._add(self._decoder.decode(b"", final=True))
        if self._left_out:
            self._ready.write(f"\n[… {self._left_out} bytes left out …]\n")
        self._ready.write(b"".join(self._ring).decode(errors="ignore"))
        self._ring.clear()

    def tail(self) -> str:
        """The last lines: 100 at most, 16 kB at most."""
        text = self._tail.decode(errors="replace").replace("\0", "\ufffd")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])
