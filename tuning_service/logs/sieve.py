"""Which lines of a block can hold a measurement at all, found by searching the block, not by looking at its lines.

Most lines of a log are in no format. A program that prints much of them would otherwise keep its executor busy with
Python's work on each line.
"""

import re
from collections.abc import Iterator, Sequence

from tuning_service.logs.marks import Format
from tuning_service.logs.pairs import COLON, EQUALS, Pairs, is_named

_STEPS = ("epoch", "step", "iter")
_OVERWRITTEN = "\r"
_ESCAPE = "\x1b"


class Sieve:
    """Of a set of formats. Lets through what may be in one of them."""

    def __init__(self, formats: Sequence[Format]) -> None:
        bare = dict.fromkeys(pattern for form in formats for pattern in form.bare)
        self._bare = tuple(re.compile(pattern) for pattern in bare)
        triggers = (trigger for form in formats if not isinstance(form, Pairs) for trigger in form.triggers)
        self._triggers = tuple(dict.fromkeys(triggers))

    def passes(self, line: str) -> bool:
        """Whether `line` has a value after = or a colon, a word for a step, or what a format needs instead."""
        if ("=" in line and EQUALS.search(line)) or (":" in line and COLON.search(line)):
            return True
        if any(pattern.search(line) for pattern in self._bare):
            return True
        low = line.lower()
        return any(word in low for word in _STEPS)

    def lines(self, text: str, low: str) -> set[int]:
        """The numbers of the lines of `text` that pass, counted from 0; `low` is `text` in lower case.

        Those that are written over, or have to be stripped of colours first, pass, too.
        """
        found: set[int] = set()
        if "=" in text:
            found.update(_matching(EQUALS, text))
        if ":" in text:
            found.update(self._with_colon(text))
        for pattern in self._bare:
            found.update(_matching(pattern, text))
        for word in _STEPS:
            found.update(holding(word, low))
        found.update(holding(_OVERWRITTEN, text))
        found.update(holding(_ESCAPE, text))
        return found

    def _with_colon(self, text: str) -> Iterator[int]:
        """Lines with a value after a colon, without those where nothing names it and that no format but pairs can know.

        Those are addresses and numbers of processes, of which logs are full.
        """
        number = counted = 0
        end = 0  # of what was looked at
        may_be = False
        line_end = -1  # of a line without triggers, which is looked through but once
        match = COLON.search(text)
        while match is not None:
            at = match.start()
            if at > line_end:
                line_end = text.find("\n", at)
                line_end = len(text) if line_end < 0 else line_end
                may_be = self._has_trigger(text[text.rfind("\n", 0, at) + 1 : line_end])
            if may_be or is_named(text, end, at):
                number += text.count("\n", counted, at)
                counted = at
                yield number
                end = line_end
            else:
                end = match.end()
            match = COLON.search(text, end)

    def _has_trigger(self, line: str) -> bool:
        for trigger in self._triggers:  # noqa: SIM110  # a generator takes several times as long
            if trigger in line:
                return True
        return False


def holding(word: str, text: str) -> Iterator[int]:
    """The numbers of the lines of `text` that hold `word`."""
    number = counted = 0
    at = text.find(word)
    while at >= 0:
        number += text.count("\n", counted, at)
        counted = at
        yield number
        end = text.find("\n", at)
        if end < 0:
            return
        at = text.find(word, end + 1)


def holding_last(word: str, text: str) -> Iterator[int]:
    """The same, the last line first."""
    at = text.rfind(word)
    number = text.count("\n", 0, at) if at >= 0 else 0
    while at >= 0:
        yield number
        begin = text.rfind("\n", 0, at)
        if begin < 0:
            return
        at = text.rfind(word, 0, begin)
        number -= text.count("\n", max(at, 0), begin + 1)


def _matching(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    number = counted = 0
    match = pattern.search(text)
    while match is not None:
        number += text.count("\n", counted, match.start())
        counted = match.start()
        yield number
        end = text.find("\n", match.end())
        if end < 0:
            return
        match = pattern.search(text, end + 1)
