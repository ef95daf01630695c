"""Lines that hold a JSON object, alone or after a logger's prefix."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuning_service.logs.marks import Format, Mark, Wanted, as_step, spelled_number, step_rank, tidy

_TRIES = 4  # positions of "{" from which to try


class JsonLines(Format):
    """Numeric members are metrics, members of a nested object are named `outer/inner`, `step` and its kin the step.

    An object `{"metric": name, "value": number}` is one metric.
    """

    exclusive = True

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._decoder = json.JSONDecoder()

    def read(self, line: str) -> Sequence[Mark] | None:
        found = self._object(line)
        if not found:
            return None
        marks: list[Mark] = []
        steps: list[tuple[int, float]] = []
        name, value = found.get("metric"), _number(found.get("value"))
        if isinstance(name, str) and name and value is not None:
            marks.append(Mark(self._named(name), value))
            found = {key: item for key, item in found.items() if key not in {"metric", "value"}}
        for key, number in _numbers(found):
            rank = step_rank(key)
            # A step may itself be an objective: then it is measured like anything else.
            if rank is None or self._wanted.get(key):
                marks.append(Mark(self._named(key), number))
            elif (step := as_step(number)) is not None:
                steps.append((rank, step))
        return [Mark(None, min(steps)[1]), *marks] if steps else marks

    def _object(self, line: str) -> Mapping[str, Any] | None:
        at = -1
        for _ in range(_TRIES):
            at = line.find("{", at + 1)
            if at < 0:
                return None
            try:
                value, _ = self._decoder.raw_decode(line, at)
            except (ValueError, RecursionError):
                continue
            return value if isinstance(value, dict) else None
        return None

    def _named(self, name: str) -> str:
        return self._wanted.get(name) or tidy(name)


def _numbers(found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, item in found.items():
        if isinstance(item, dict):
            for inner, deep in item.items():
                if (number := _number(deep)) is not None:
                    yield f"{key}/{inner}", number
        elif (number := _number(item)) is not None and key.strip():
            yield key, number


def _number(item: object) -> float | None:
    if isinstance(item, str):
        return spelled_number(item)
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return None
    try:
        return float(item)
    except OverflowError:
        return float("inf") if item > 0 else float("-inf")
