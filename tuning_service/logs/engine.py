"""The one parser there is: several formats over one log, with the step carried from line to line."""

import re
from collections.abc import Callable, Sequence

from tuning_service.logs.bars import Bars
from tuning_service.logs.base import Found, LogParser, Reading
from tuning_service.logs.clock import time_of
from tuning_service.logs.marks import COUNTED, TIME, Format, Mark
from tuning_service.logs.seen import Seen
from tuning_service.logs.sieve import Sieve

_ANSI = re.compile(
    r"\x1b(?:\[[0-?]{0,30}[ -/]{0,4}[@-~]|\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)|[ -/]{1,4}[0-~]|[@-Z\\-_])"
)
# [default0]: of torchrun --tee, [rank1]: of torch.distributed, [1,0]<stdout>: of mpirun, [prterun-…@1,0]<stdout>: of
# its version 5. A number alone is none: many programs begin lines with that of the epoch.
_RANK = re.compile(r"\[(?:default|rank|(?:[\w.-]{1,99}@)?\d{1,3},)(?P<rank>\d{1,3})\](?:<\w{1,9}>)?:[ ]?")
_MOST_NAMES = 1000
_MOST_RANKS = 64
_FEW = 4  # as many lines are read faster one by one


class EngineParser(LogParser):
    """Tries its formats in order on each line; the first that knows a line as its own is the last.

    A step holds until the next one. Before there is any, each metric counts its own readings, from 0. Lines that say
    which process of a distributed training printed them are read apart for each, and each metric is taken from the
    lowest that prints it.
    """

    def __init__(self, formats: Callable[[], Sequence[Format]], metrics: Sequence[str]) -> None:
        first = formats()
        self._formats = formats
        self._sieve = Sieve(first)
        self._wanted = frozenset(metrics)
        self._seen = Seen(metrics)
        self._ranks: dict[int, _Process] = {0: _Process(first, self._sieve)}
        self._waiting: set[int] = set()  # ranks of which the next line may be of a format whatever it says
        self._owner: dict[str, int] = {}  # of each metric, the rank whose values count
        self._counts: dict[str, int] = {}
        self._pending = ""  # what stands on a line that is being written over

    def feed(self, line: str) -> Sequence[Reading]:
        if len(line) > self.MAX_LINE:
            line = line[: self.MAX_LINE]
        if "\x1b" in line:
            line = _ANSI.sub("", line)
        if "\r" in line or self._pending:
            return self._rewritten(line)
        return self._line(line)

    def feed_lines(self, lines: Sequence[str]) -> Sequence[Reading]:
        text = "\n".join(lines)
        if len(lines) <= _FEW or text.count("\n") != len(lines) - 1:
            return super().feed_lines(lines)
        low = text.lower()
        notable = self._seen.notable(lines, low)
        readings: list[Reading] = []
        done = 0
        for number in [*sorted(self._sieve.lines(text, low) | notable), len(lines)]:
            while done < number and (self._waiting or self._pending):
                readings += self.feed(lines[done])
                done += 1
            if done <= number < len(lines):
                line = lines[number]
                done = number + 1
                if number in notable or self._pending or len(line) > self.MAX_LINE or "\r" in line or "\x1b" in line:
                    readings += self.feed(line)
                else:
                    readings += self._line(line, passed=True)
        return readings

    def finish(self, cut_off: str = "") -> Sequence[Reading]:
        self._seen.cut_off(cut_off)
        pending, self._pending = self._pending, ""
        readings = list(self._line(pending)) if pending else []
        for rank, process in self._ranks.items():
            readings += self._readings(rank, process, process.finish(), "")
        return readings

    def explain(self, metric: str) -> str:
        return self._seen.explain(metric)

    def found(self) -> Sequence[Found]:
        return self._seen.found()

    def _rewritten(self, line: str) -> Sequence[Reading]:
        """Of a line that is written over, only bars that count several epochs say more than what it shows last."""
        *states, last = line.replace("\b", "").split("\r")
        readings: list[Reading] = []
        for state in states:
            if not state or state.isspace():
                continue
            self._pending = state
            rank, process, text = self._process(state)
            readings += self._readings(rank, process, process.passing(text), state)
        if last and not last.isspace():
            self._pending = ""
            readings += self._line(last)
        elif not line.endswith("\r"):  # its end
            pending, self._pending = self._pending, ""
            readings += self._line(pending)
        return readings

    def _line(self, line: str, *, passed: bool = False) -> Sequence[Reading]:
        """`passed`: by the sieve, and not notable."""
        if not passed:
            self._seen.line(line)
        rank, process, text = self._process(line)
        found = process.line(text, passed=passed)
        if process.waiting:
            self._waiting.add(rank)
        elif self._waiting:
            self._waiting.discard(rank)
        return self._readings(rank, process, found, line) if found else ()

    def _process(self, line: str) -> tuple[int, "_Process", str]:
        if line[:1] != "[" or (match := _RANK.match(line)) is None:
            return 0, self._ranks[0], line
        rank = int(match["rank"])
        process = self._ranks.get(rank)
        if process is None:
            if len(self._ranks) >= _MOST_RANKS:
                return 0, self._ranks[0], ""
            process = self._ranks[rank] = _Process(self._formats(), self._sieve)
        return rank, process, line[match.end() :]

    def _readings(
        self, rank: int, process: "_Process", found: Sequence[tuple[str, Sequence[Mark]]], line: str
    ) -> list[Reading]:
        readings: list[Reading] = []
        if not found:
            return readings
        time_s = time_of(line)
        counted = False
        for form, marks in found:
            for metric, value in marks:
                if metric is None:
                    process.step = int(value)
                elif metric == TIME:
                    time_s = value
                elif metric == COUNTED:
                    counted = True
                elif self._counts_here(rank, metric):
                    step = self._step(metric, None if counted else process.step)
                    reading = Reading(step=step, metric=metric, value=value, time_s=time_s, form=form)
                    self._seen.reading(reading, line)
                    readings.append(reading)
        if readings:
            self._seen.was_read(line)
        return readings

    def _counts_here(self, rank: int, metric: str) -> bool:
        owner = self._owner.get(metric)
        if owner is None:
            # A program that makes up names without end gets no more of them, but always those that its job names.
            if len(self._owner) >= _MOST_NAMES and metric not in self._wanted:
                return False
        elif owner <= rank:
            return owner == rank
        self._owner[metric] = rank
        return True

    def _step(self, metric: str, named: int | None) -> int:
        count = self._counts.get(metric, 0)
        self._counts[metric] = count + 1
        return count if named is None else named


class _Process:
    """What is known of the lines of one process: its step, and the state of the formats."""

    def __init__(self, formats: Sequence[Format], sieve: Sieve) -> None:
        self.step: int | None = None
        self._sieve = sieve
        self._own = [form for form in formats if not form.exclusive]  # the user's patterns
        self._formats = [form for form in formats if form.exclusive and not isinstance(form, Bars)]
        self._bars = next((form for form in formats if isinstance(form, Bars)), None)
        self._waiters = [form for form in self._formats if form.waiting is not None]

    @property
    def waiting(self) -> bool:
        """The next line may be in a format whatever it says."""
        for form in self._waiters:  # noqa: SIM110  # a generator takes several times as long
            if form.waiting:
                return True
        return False

    def line(self, text: str, *, passed: bool) -> list[tuple[str, Sequence[Mark]]]:
        found = [(form.name, read) for form in self._own if (read := form.read(text))]
        names = {mark.metric for _, read in found for mark in read}
        if self._bars is not None and self._bars.may_be_in(text):
            marks, text = self._bars.take(text, ended=True)
            # First, because it may be of an epoch before this line's.
            if marks := [mark for mark in marks if mark.metric is None or mark.metric not in names]:
                found.insert(0, (self._bars.name, marks))
        if not (passed or self._sieve.passes(text) or self.waiting):
            return found
        for form in self._formats:
            # Most lines are in no format. Searching for a few words tells so faster than anything else.
            for trigger in form.triggers:
                if trigger in text:
                    break
            else:
                if not form.waiting:
                    continue
            read = form.read(text)
            if read is None:
                continue
            # None is among the names when a step is: the first format that finds one says which.
            found.append((form.name, [mark for mark in read if mark.metric not in names] if names else read))
            break
        return found

    def passing(self, text: str) -> list[tuple[str, Sequence[Mark]]]:
        for form in self._formats:
            form.passing(text)
        if self._bars is None or not self._bars.may_be_in(text):
            return []
        marks, _ = self._bars.take(text, ended=False)
        return [(self._bars.name, marks)] if marks else []

    def finish(self) -> list[tuple[str, Sequence[Mark]]]:
        return [] if self._bars is None else [(self._bars.name, self._bars.finish())]
