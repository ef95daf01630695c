"""Lines that hold a JSON object, alone or after a logger's prefix."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tuning_service.logs.around import before_object, step_in
from tuning_service.logs.marks import COUNTED, NUMBER, TIME, Format, Mark, as_step, as_time, spelled_number
from tuning_service.logs.names import Wanted, step_rank

_BEGIN = re.compile(r'\{\s*["}]')  # a failing decoder takes longer than all else on a line, so it is asked only here
_TRIES = 4  # positions from which to try
_NUMBER = re.compile(NUMBER)
_LONGEST_NUMBER = 40
_TIMES = frozenset({"timestamp", "wall_time", "walltime", "unix_time"})


class JsonLines(Format):
    """Numeric members are metrics, members of a nested object are named `outer/inner`, `step` and its kin the step.

    A number that is written as a text is one where the job names the metric, and of steps.
    An object `{"metric": name, "value": number}` is one metric. What stands before an object may say the step and what
    was measured: `Epoch 3 val: {"loss": 0.4}`. `timestamp` and `wall_time` are no metrics but the time of the line,
    where they can be one.
    """

    name: ClassVar[str] = "json"
    triggers: ClassVar[tuple[str, ...]] = ("{",)
    bare: ClassVar[tuple[str, ...]] = (r'\{[ \t]*"',)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._decoder = json.JSONDecoder()

    def read(self, line: str) -> Sequence[Mark] | None:
        marks: list[Mark] = []
        end = 0
        for begin, stop, found in self._objects(line):
            marks += self._reported(found) or self._marks(found, *before_object(line[end:begin]))
            end = stop
        if not end:
            return None
        if end < len(line) and not _has_step(marks):
            step = step_in(line[end:])
            marks = marks if step is None else [Mark(None, step), *marks]
        return marks

    def _reported(self, found: Mapping[str, Any]) -> list[Mark]:
        """What an object of the probe says, and nothing of others.

        It says all that it means: what stands before it is another print, which did not end its line.
        """
        if found.get("probe") is not True:
            return []
        marks = self._marks(found, None, None)
        return marks if _has_step(marks) else [Mark(COUNTED, 0), *marks]

    def _marks(self, found: Mapping[str, Any], step: float | None, split: str | None) -> list[Mark]:
        """What an object says, before which `step` and `split` stand."""
        marks: list[Mark] = []
        steps: list[tuple[int, float]] = []
        name, value = found.get("metric"), _number(found.get("value"))
        if isinstance(name, str) and name and value is not None:
            marks.append(Mark(self._wanted.of(split, name), value))
            found = {key: item for key, item in found.items() if key not in {"metric", "value"}}
        for key, number in self._numbers(found):
            rank = step_rank(key)
            # A step may itself be an objective: then it is measured like anything else.
            if key in _TIMES and not self._wanted.get(key) and (time_s := as_time(number)) is not None:
                marks.append(Mark(TIME, time_s))
            elif rank is None or self._wanted.get(key):
                marks.append(Mark(self._wanted.of(split, key), number))
            elif (own := as_step(number)) is not None:
                steps.append((rank, own))
        step = min(steps)[1] if steps else step
        if step is not None:
            marks.append(Mark(None, step))
        # What holds for the whole object comes first.
        return sorted(marks, key=lambda mark: mark.metric is not None and mark.metric != TIME)

    def _objects(self, line: str) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
        """Begin, end and content of the objects on the line, other than empty ones."""
        at = tries = 0
        while tries < _TRIES and (begin := _BEGIN.search(line, at)) is not None:
            tries += 1
            try:
                value, end = self._decoder.raw_decode(line, begin.start())
            except (ValueError, RecursionError):
                at = begin.end()
                continue
            at = end
            if value:
                yield begin.start(), end, value

    def _numbers(self, found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        for outer, value in found.items():
            members = [(f"{outer}/{inner}", deep) for inner, deep in value.items()] if isinstance(value, dict) else ()
            for key, item in members or [(outer, value)]:
                number = _number(item)
                if number is None and isinstance(item, str) and (self._wanted.get(key) or step_rank(key) is not None):
                    number = float(item) if len(item) <= _LONGEST_NUMBER and _NUMBER.fullmatch(item) else None
                if number is not None and key.strip():
                    yield key, number


def _has_step(marks: Sequence[Mark]) -> bool:
    return any(metric is None for metric, _ in marks)


def _number(item: object) -> float | None:
    if isinstance(item, str):
        return spelled_number(item)
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return None
    try:
        return float(item)
    except OverflowError:
        return float("inf") if item > 0 else float("-inf")
