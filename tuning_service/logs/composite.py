"""The one parser there is: several formats over one log, with the step carried from line to line."""

import re
from collections.abc import Sequence

from tuning_service.logs.base import LogParser, Reading
from tuning_service.logs.marks import Format, Mark
from tuning_service.logs.seen import Seen

_ANSI = re.compile(r"\x1b(?:\[[0-?]{0,30}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\-_])")
_MOST_NAMES = 1000


class CompositeParser(LogParser):
    """Tries its formats in order on each line; a later one adds the metrics that no earlier one found on that line.

    A step holds until the next one. Before there is any, each metric counts its own readings, from 0.
    """

    def __init__(self, formats: Sequence[Format], metrics: Sequence[str]) -> None:
        self._formats = formats
        self._wanted = frozenset(metrics)
        self._seen = Seen(metrics)
        self._step: int | None = None
        self._counts: dict[str, int] = {}

    def feed(self, line: str) -> Sequence[Reading]:
        line = line[: self.MAX_LINE]
        if "\x1b" in line:
            line = _ANSI.sub("", line)
        if "\r" in line:  # a progress bar rewrites its line: what it showed last counts
            line = line.rstrip("\r\n").rpartition("\r")[2]
        self._seen.line(line)
        readings = []
        for mark in self._marks(line):
            if mark.metric is None:
                self._step = int(mark.value)
            elif (reading := self._reading(mark.metric, mark.value)) is not None:
                self._seen.metric(mark.metric, line)
                readings.append(reading)
        return readings

    def explain(self, metric: str) -> str:
        return self._seen.explain(metric)

    def _marks(self, line: str) -> Sequence[Mark]:
        found: list[Mark] = []
        for form in self._formats:
            marks = form.read(line)
            if marks is None:
                continue
            # None is among the names when a step is: the first format that finds one says which.
            names = {mark.metric for mark in found}
            found += [mark for mark in marks if mark.metric not in names] if found else marks
            if form.exclusive:
                break
        return found

    def _reading(self, metric: str, value: float) -> Reading | None:
        count = self._counts.get(metric)
        # A program that makes up names without end gets no more of them, but always those that its job names.
        if count is None and len(self._counts) >= _MOST_NAMES and metric not in self._wanted:
            return None
        self._counts[metric] = (count or 0) + 1
        return Reading(step=count or 0 if self._step is None else self._step, metric=metric, value=value)
