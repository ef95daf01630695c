"""The contract of a log parser. Read this first; formats are beside it, one module each."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One metric value found in a log. `step` is what the log says, or the count of this metric so far."""

    step: int
    metric: str
    value: float  # may be nan or inf: kept as such
    time_s: float | None = None  # Unix time that the line itself says; None when it says none
    form: str = ""  # the format that found it, by its name in `build_parser`


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a log gave of one metric. `sample` is the beginning of the first line that did."""

    metric: str
    count: int
    first: Reading
    last: Reading
    least: float  # of finite values; nan without any
    greatest: float
    forms: tuple[str, ...]
    sample: str


class LogParser(ABC):
    """Reads one training's log, line by line.

    Runs on executors inside the runner, in one thread. `feed` is called for each line in order, or `feed_lines` for
    several, then `finish` once; `explain` and `found` may be called at any time after. No input makes it raise, and
    each call costs time bounded by the length of its lines: longer lines than `MAX_LINE` are cut.
    """

    MAX_LINE = 16_384

    @abstractmethod
    def feed(self, line: str) -> Sequence[Reading]:
        """The readings that `line` (without its end) completes, in the order they stand there.

        A line that ends in a carriage return will be written over by the next one, as `LineSplitter` hands on
        progress bars while they move.
        """

    def feed_lines(self, lines: Sequence[str]) -> Sequence[Reading]:
        """What `feed` gives for each of `lines`, in order, and much faster where most of them measure nothing.

        As many at once as came at once: what `LineSplitter` makes of one piece.
        """
        return [reading for line in lines for reading in self.feed(line)]

    @abstractmethod
    def finish(self, cut_off: str = "") -> Sequence[Reading]:
        """Readings that were still waiting for a further line.

        `cut_off` is a last line that was to go on: `explain` may show it, but a number in it may be another one.
        """

    @abstractmethod
    def explain(self, metric: str) -> str:
        """Why `metric` was not found: names that were seen, lines that came near, what would make it found.

        Written for the person who wrote the program, in a few lines. Bounded in size whatever the log was.
        """

    def found(self) -> Sequence[Found]:
        """All metrics that were read, in the order in which they first came; as many as `explain` remembers."""
        return ()
