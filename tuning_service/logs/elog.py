"""Lines of the logger that came with an older product: `[date] Train,	Timestamp: ms,	Global steps: 40, …`."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import NUMBER, TIME, Format, Mark, as_step, as_time
from tuning_service.logs.names import SPLITS, Wanted

_LINE = re.compile(
    r"(?P<group>\w{1,40}),\s+Timestamp: (?P<time>\d{1,15}),\s+Global steps: (?P<step>\d{1,15}),"
    r"\s+Iteration: \d{1,15},(?P<values>.*)"
)
_VALUE = re.compile(rf"(?:^|,)\s*(?P<name>[^\s,:][^,:]{{0,99}}): (?P<number>{NUMBER})(?=,|\s*$)")


class ELog(Format):
    """The step is that of `Global steps`, the time that of `Timestamp`. Groups other than Train begin the names."""

    name: ClassVar[str] = "elog"
    triggers: ClassVar[tuple[str, ...]] = ("Timestamp: ",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)

    def read(self, line: str) -> Sequence[Mark] | None:
        found = _LINE.search(line)
        if found is None:
            return None
        group = found["group"].lower()
        split = SPLITS.get(group, group)
        marks: list[Mark] = []
        if (step := as_step(float(found["step"]))) is not None:
            marks.append(Mark(None, step))
        if (time_s := as_time(float(found["time"]))) is not None:
            marks.append(Mark(TIME, time_s))
        values = _VALUE.finditer(found["values"])
        return marks + [Mark(self._wanted.of(split, m["name"].lower()), float(m["number"])) for m in values]
