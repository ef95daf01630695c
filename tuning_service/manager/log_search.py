"""LogSearchMgr: a text in what a training printed."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tuning_service.domain.principal import Principal
from tuning_service.domain.state import OPEN_TASKS
from tuning_service.manager.executions import chosen_task
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store

MOST_BYTES = 128 * 2**20  # looked at in one request
_PIECE = 4 * 2**20
_LONGEST_LINE = 2**20  # a longer one is cut, and what follows counts as the same line
_SHOWN = 400  # bytes of a line
_SHOWN_BEFORE = 100  # of them before the match, in a line that is longer


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMatch:
    """A line that holds the text: `offset` is the first match's byte in the log, `text_offset` that of `text`."""

    offset: int
    line: int  # from 1
    text: str
    text_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMatches:
    """`total` lines hold the text among the log's first `searched` bytes; `size` has the log."""

    matches: list[LogMatch]
    total: int
    searched: int
    size: int
    complete: bool  # the execution has ended, so that no more will come


class LogSearchMgr:
    """Safe from any thread."""

    def __init__(self, store: Store, artifacts: ArtifactStore, *, most_bytes: int = MOST_BYTES) -> None:
        self._store = store
        self._artifacts = artifacts
        self._most_bytes = most_bytes

    def search(
        self,
        principal: Principal,
        job_id: str,
        number: int,
        text: str,
        *,
        task: int | None,
        match_case: bool,
        limit: int,
        after: int | None = None,
        before: int | None = None,
    ) -> LogMatches:
        """Lines of one execution's log that hold `text`, in their order: the first `limit`.

        `after`: of those whose match begins behind that byte; `before`: the last ones whose match begins ahead of it.
        All are counted. Raises NotFound.
        """
        with self._store.read() as unit:
            found = chosen_task(unit, principal, job_id, number, task)
        if found is None:
            return LogMatches(matches=[], total=0, searched=0, size=0, complete=False)
        size = min(found.log_bytes, self._most_bytes)

        def piece(start: int) -> bytes:
            length = min(_PIECE, size - start)
            return self._artifacts.log(found.tenant_id, job_id, found.id, start, length) if length > 0 else b""

        kept: list[LogMatch] = []
        total = 0
        for data, start, places in _matches(piece, _finder(text, match_case=match_case)):
            total += len(places)
            fitting = [
                (place, line)
                for place, line in places
                if (after is None or start + place > after) and (before is None or start + place < before)
            ]
            chosen = fitting[: limit - len(kept)] if before is None else fitting[-limit:]
            kept = [*kept, *(_shown(data, place, start, line) for place, line in chosen)][-limit:]
        ended = found.status not in OPEN_TASKS
        return LogMatches(matches=kept, total=total, searched=size, size=found.log_bytes, complete=ended)


def _finder(text: str, *, match_case: bool) -> Callable[[bytes], list[int]]:
    """Where in some bytes the text begins."""
    sides = [{c} if match_case else {c, c.lower(), c.upper()} for c in text]
    pattern = b"".join(b"(?:" + b"|".join(re.escape(s.encode()) for s in sorted(side)) + b")" for side in sides)
    if match_case:
        pattern = re.escape(text.encode())
    elif text.isascii():
        compiled = re.compile(re.escape(text.lower().encode()))
        return lambda data: [match.start() for match in compiled.finditer(data.lower())]
    exact = re.compile(pattern)
    return lambda data: [match.start() for match in exact.finditer(data)]


def _matches(
    piece: Callable[[int], bytes], find: Callable[[bytes], list[int]]
) -> Iterator[tuple[bytes, int, list[tuple[int, int]]]]:
    """Bytes of the log, where they begin, and in them the first match of each line with the line's number.

    `piece` gives what the log has at a byte, b"" at its end.
    """
    start, line, last_line = 0, 1, 0
    held = b""
    while True:
        more = piece(start + len(held))
        held += more
        whole = held.rfind(b"\n") + 1 if more else len(held)
        if not whole and len(held) > _LONGEST_LINE:
            whole = len(held) - _LONGEST_LINE // 2
        data, counted = held[:whole], 0
        places = []
        for place in find(data):
            line += data.count(b"\n", counted, place)
            counted = place
            if line != last_line:
                last_line = line
                places.append((place, line))
        yield data, start, places
        line += data.count(b"\n", counted)
        start, held = start + whole, held[whole:]
        if not more:
            return


def _shown(data: bytes, place: int, start: int, line: int) -> LogMatch:
    begin = data.rfind(b"\n", 0, place) + 1
    end = data.find(b"\n", place)
    end = len(data) if end < 0 else end
    if end - begin > _SHOWN:
        begin = max(begin, min(place - _SHOWN_BEFORE, end - _SHOWN))
        while begin < place and data[begin] & 0xC0 == 0x80:  # within a character
            begin += 1
        end = min(end, begin + _SHOWN)
    text = data[begin:end].decode("utf-8", "replace").rstrip("\r")
    return LogMatch(offset=start + place, line=line, text=text, text_offset=start + begin)
