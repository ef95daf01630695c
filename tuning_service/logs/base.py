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


class LogParser(ABC):
    """Reads one training's log, line by line.

    Runs on executors inside the runner, in one thread. `feed` is called for each line in order, then `finish` once;
    `explain` may be called at any time after. No input makes it raise, and each call costs time bounded by the
    length of the line: longer lines than `MAX_LINE` arrive cut.
    """

    MAX_LINE = 16_384

    @abstractmethod
    def feed(self, line: str) -> Sequence[Reading]:
        """The readings that `line` (without its end) completes, in the order they stand there."""

    def finish(self) -> Sequence[Reading]:
        """Readings that were still waiting for a further line."""
        return ()

    @abstractmethod
    def explain(self, metric: str) -> str:
        """Why `metric` was not found: names that were seen, lines that came near, what would make it found.

        Written for the person who wrote the program, in a few lines. Bounded in size whatever the log was.
        """
