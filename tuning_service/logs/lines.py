"""Bytes of a log as they come, cut into lines in bounded memory."""

from collections.abc import Iterator


class LineSplitter:
    """Chunks in, complete lines out. Of a line longer than `longest` bytes the beginning is kept, the rest dropped.

    A progress bar writes its line over and over, and may never end it: each of its states comes as a line of its own
    that still ends in its carriage return.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that `data` completes, without their ends."""
        if b"\r" not in data and b"\r" not in self._rest:
            yield from self._plain(data)
            return
        first, *more = data.split(b"\n")
        self._rest += first
        for part in more:
            rest, self._rest = self._rest, part
            yield from self._states(rest)
        # Carriage returns that come last may be the beginning of a line's end.
        text = self._rest.rstrip(b"\r")
        ending = b"\r" if len(text) < len(self._rest) else b""
        *states, text = text.split(b"\r")
        for state in states:
            if state:
                yield self._text(state) + "\r"
        self._rest = text[: self._longest] + ending

    def _plain(self, data: bytes) -> Iterator[str]:
        """The same for what has no carriage returns: nearly everything, and decoded at once much faster."""
        whole, end, self._rest = (self._rest + data).rpartition(b"\n")
        self._rest = self._rest[: self._longest]
        if not end:
            return
        for line in whole.decode(errors="replace").split("\n"):
            # A character has up to four bytes.
            if len(line) * 4 <= self._longest or len(cut := line.encode()) <= self._longest:
                yield line
            else:
                yield self._text(cut)

    def finish(self) -> Iterator[str]:
        """The last line, when it had no end."""
        if self._rest:
            yield from self._states(self._rest)
            self._rest = b""

    def _states(self, line: bytes) -> Iterator[str]:
        if b"\r" not in line:
            yield self._text(line)
            return
        *states, last = line.rstrip(b"\r").split(b"\r")  # a terminal's line end is \r\n
        for state in states:
            if state:
                yield self._text(state) + "\r"
        yield self._text(last)

    def _text(self, data: bytes) -> str:
        return data[: self._longest].decode(errors="replace")
