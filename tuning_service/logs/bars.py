"""Progress bars of tqdm, which Lightning and many loops show their metrics in.

A bar is printed over and over, and what it shows of the validation is that of the epoch before until the epoch's own
is there. So what an epoch gave is known when the next one begins, or the log ends; what is new in it already when
the bar is full and its line ends.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import NUMBER, Format, Mark, as_step
from tuning_service.logs.names import SPLITS, Wanted, step_rank

_BAR = re.compile(
    r"""\|[^|]{0,300}\|[ ]{0,9}(?P<done>\d{1,12})/(?P<total>\d{1,12}|\?)[ ]
        \[[^,\]]{1,40},[ ]{0,9}[^,\]]{1,30}(?:/s|s/\w{1,9})(?P<values>(?:,[ ][^\]]{0,2000})?)\]""",
    re.VERBOSE,
)
_MOST_SHOWN = 16
_ABOUT = 120  # characters before a bar that say what it counts
_PERCENT = re.compile(r"[ ]{0,3}\d{1,3}%$")
_VALUE = re.compile(rf",[ ](?P<name>[^\s,=:\]][^,=:\]]{{0,99}})[=:][ ]?(?P<number>{NUMBER})(?=,|$)")
_FIGURE = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{0,20})?(?:e[-+]?\d{1,3})?(?![\w.])")
_COUNT = re.compile(r"(?<![\w.])(\d{1,15})(?![\w.])")
_WORD = re.compile(r"(?<!\w)[a-z]+(?!\w)")
_VERSION = "v_num"  # Lightning's number of the run


class Bars(Format):
    """Bars, each recognised by the text before it without its numbers. Keeps the one that moved last."""

    name: ClassVar[str] = "bars"
    bare: ClassVar[tuple[str, ...]] = (r"\| {0,9}\d{1,12}/[\d?]{1,12} \[",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._bar: _Bar | None = None
        self._shown: dict[str, dict[str, float]] = {}  # by what bars counted, what the last one of it showed

    def may_be_in(self, text: str) -> bool:
        """False when there is no bar in `text`, much faster found than by looking for one."""
        return "| " in text and "/" in text and ("/s" in text or "s/" in text)

    def read(self, line: str) -> Sequence[Mark] | None:
        return self.take(line, ended=True)[0] or None

    def take(self, text: str, *, ended: bool) -> tuple[list[Mark], str]:
        """What the bar in `text` completes, and the text without it. `ended`: nothing writes over it."""
        found = _BAR.search(text)
        if found is None:
            return [], text
        before = _PERCENT.sub("", text[: found.start()].rstrip())
        rest = f"{before.removesuffix(':')} {text[found.end() :]}"
        state = _Bar(before[-_ABOUT:].strip(), found, self._wanted)
        if not state.values and self._bar is not None and self._bar.epoch is not None and state.epoch is None:
            return [], rest  # the bar of a validation within the epoch
        marks: list[Mark] = []
        if self._bar is not None and self._bar.goes_on_as(state):
            self._bar.move(state)
        else:
            marks += self.finish()
            self._bar = state
            state.starts_after(self._shown.get(state.about, {}))
            # Holds for lines that are printed while it moves, too.
            marks += [Mark(None, state.epoch)] if state.epoch is not None else []
        if ended and self._bar.full:
            marks += self._bar.news(known=self._bar.initial)
        return marks, rest

    def finish(self) -> list[Mark]:
        """What the last bar showed and was not told yet."""
        bar, self._bar = self._bar, None
        if bar is None:
            return []
        if len(self._shown) < _MOST_SHOWN or bar.about in self._shown:
            self._shown[bar.about] = bar.values
        return bar.news(known={} if bar.full else bar.initial)


class _Bar:
    """One bar's way through one epoch."""

    def __init__(self, about: str, found: re.Match[str], wanted: Wanted) -> None:
        split = next((SPLITS[word] for word in _WORD.findall(about.lower()) if word in SPLITS), None)
        self.about = _FIGURE.sub("", about)
        self.done = int(found["done"])
        self.full = found["done"] == found["total"] != "0"
        shown = {match["name"].strip(): float(match["number"]) for match in _VALUE.finditer(found["values"])}
        epoch = _epoch(about)
        self.epoch = as_step(shown.get("epoch", -1)) if epoch is None else epoch
        self.values = {
            wanted.of(split, name): number
            for name, number in shown.items()
            if name != _VERSION and step_rank(name) is None
        }
        self.initial: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def starts_after(self, before: dict[str, float]) -> None:
        """What stands there when it is begun, as the last bar of the kind had it, is of the epoch before."""
        if self.done == 0:
            self.initial = {name: value for name, value in self.values.items() if _same(before.get(name), value)}

    def goes_on_as(self, state: "_Bar") -> bool:
        return self.about == state.about and self.epoch == state.epoch and self.done <= state.done

    def move(self, state: "_Bar") -> None:
        self.values, self.done, self.full = state.values, state.done, state.full

    def news(self, *, known: dict[str, float]) -> list[Mark]:
        """What it shows and was neither told before nor is `known`, behind the epoch when it names one."""
        fresh = {
            name: value
            for name, value in self.values.items()
            if not _same(self._told.get(name), value) and not _same(known.get(name), value)
        }
        self._told |= fresh
        marks = [Mark(name, value) for name, value in fresh.items()]
        return [Mark(None, self.epoch), *marks] if marks and self.epoch is not None else marks


def _same(one: float | None, other: float) -> bool:
    return one is not None and (one == other or (one != one and other != other))  # noqa: PLR0124  # both nan


def _epoch(about: str) -> float | None:
    words = about.lower()
    at = words.find("epoch")
    found = _COUNT.search(about, at) if at >= 0 else None
    return as_step(float(found[1])) if found else None
