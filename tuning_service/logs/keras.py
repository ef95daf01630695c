"""What `model.fit` and `model.evaluate` print, in Keras 2 and 3, with verbose 1 and 2."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import NUMBER, Format, Mark, as_step
from tuning_service.logs.names import Wanted
from tuning_service.logs.pairs import Pairs

_EPOCH = re.compile(r"Epoch (?P<epoch>\d{1,15})(?:/\d{1,15})?(?::|\s*$)")
# 5/Unknown 1s 3ms/step - loss: 0.2 until the first epoch has ended, where nobody knows how long it is;
# 32/32 ━━━━ 1s 3ms/step - loss: 0.2 of Keras 3; 32/32 [====>..] - ETA: 1s - loss: 0.2 of Keras 2
_BAR = re.compile(
    r"(?<![\w./-])(?P<done>\d{1,12})/(?:(?P<total>\d{1,12}+) {1,9}(?:\u2501[\u2501 ]{0,98}|\[[=>.]{1,99}\])|Unknown)"
    r" {0,9}(?P<rest>(?:- )?(?:ETA: )?\d[\d:]{0,11}(?:[mun\u00b5]?s)?\b.*)"
)
# 32/32 - 1s - loss: 0.2 with verbose 2. Only Keras begins a line so: many programs print `Epoch 3/10 - 1s - loss: 0.2`.
_PLAIN = re.compile(r" {0,9}(?P<done>\d{1,12})/(?P<total>\d{1,12}+) (?P<rest>- \d{1,9}m?s\b.*)")
_SHORT = re.compile(r"^ ?- \d{1,9}s(?: \d{1,9}[mu\u00b5]?s/\w{4,6})?(?P<rest> - .*)")  # verbose 2 before 2.2
_VALUE = re.compile(rf"(?P<name>[^\s:][^:]{{0,99}}): (?P<number>{NUMBER})\s*$")
_SHOWN = re.compile(rf" - [^\s:][^:]{{0,99}}: {NUMBER}")


class Keras(Format):
    """A bar is read when its line ends, and it is full.

    The first after an `Epoch 3/10` is of that epoch, further ones are evaluations.

    Evaluations after a training print the names of the training: here they begin with `eval_`. Where no epoch was
    begun yet, there is nothing to mix them up with, and they keep their names.
    """

    name: ClassVar[str] = "keras"
    triggers: ClassVar[tuple[str, ...]] = ("Epoch ", " - ")

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._in_epoch = False
        self._trained = False  # an epoch was begun
        self._total: str | None = None  # of the bar of this epoch
        self._behind = Pairs(metrics)

    def passing(self, text: str) -> None:
        if self._in_epoch and self._total is None and (bar := _bar(text)) is not None:
            self._total = bar["total"]

    def read(self, line: str) -> Sequence[Mark] | None:
        bar = (_bar(line) or _PLAIN.match(line) or _SHORT.match(line)) if " - " in line else None
        if bar is None:
            self._note_epoch(line)
            return None
        state = bar.groupdict()
        total = state.get("total")
        if state.get("done") != total:
            # Its line was ended by something else that was printed, right behind it, and the bar goes on below.
            self.passing(line)
            *_, end = [0, *(match.end() for match in _SHOWN.finditer(bar["rest"]))]
            return self._behind.read(bar["rest"][end:]) or [] if end else []
        found = [match for part in bar["rest"].split(" - ") if (match := _VALUE.match(part)) is not None]
        if not found:
            return None
        evaluation = self._trained and not self._is_of_epoch(total)
        split = "eval" if evaluation else None
        return [Mark(self._wanted.of(split, match["name"]), float(match["number"])) for match in found]

    def _note_epoch(self, line: str) -> None:
        """That it is the step is known to all; a bar after it is of this epoch."""
        found = _EPOCH.match(line)
        step = as_step(float(found["epoch"])) if found else None
        # With a colon, a callback speaks of the epoch.
        if found is not None and step is not None and ":" not in found[0]:
            self._in_epoch, self._trained, self._total = True, True, None

    def _is_of_epoch(self, total: str | None) -> bool:
        if not self._in_epoch or (self._total is not None and total is not None and total != self._total):
            return False
        self._in_epoch = False
        return True


def _bar(text: str) -> re.Match[str] | None:
    """A drawn bar. One behind the word epoch is of the program's own, and its numbers are the epoch."""
    found = _BAR.search(text)
    return None if found is None or "epoch" in text[: found.start()].lower() else found
