"""Python dictionaries on a line, as the Trainer of Hugging Face prints them: `{'loss': 0.5, 'epoch': 1.0}`."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.around import before_object, step_in
from tuning_service.logs.marks import NUMBER, WRAPPED, Format, Mark, as_step
from tuning_service.logs.names import Wanted, step_rank

# Numbers may be quoted, as since Transformers 5.
_MEMBER = re.compile(
    rf"""(?P<quote>['"])(?P<name>[^'"{{}}]{{1,100}})(?P=quote)\s?:\s?
         (?:(?P<open>\{{) | {WRAPPED}['"]?(?P<number>{NUMBER})['"]?(?=[,}})>]))
         | (?P<close>\}})""",
    re.VERBOSE,
)
_DEEPEST = 4


class Dicts(Format):
    """Numeric members are metrics, members of a dictionary within are `outer/inner`, `epoch` and its kin the step.

    The line is searched, not evaluated: that is safe and takes a line with anything around its dictionaries. What
    stands before one may say the step and what was measured: `Epoch 3 val: {'loss': 0.4}`.
    """

    name: ClassVar[str] = "dicts"
    triggers: ClassVar[tuple[str, ...]] = ("{'",)
    bare: ClassVar[tuple[str, ...]] = (r"\{'",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)

    def read(self, line: str) -> Sequence[Mark] | None:
        marks: list[Mark] = []
        has_step = False
        end, begin = 0, line.find("{'")
        while begin >= 0:
            step, split = before_object(line[end:begin])
            end, values, own = self._dictionary(line, begin, split)
            if (step := step if own is None else own) is not None:
                has_step = True
                marks.append(Mark(None, step))
            marks += values
            begin = line.find("{'", end)
        if not any(mark.metric for mark in marks):
            return None
        if not has_step and (after := step_in(line[end:])) is not None:
            marks.insert(0, Mark(None, after))
        return marks

    def _dictionary(self, line: str, begin: int, split: str | None) -> tuple[int, list[Mark], float | None]:
        """Where the dictionary at `begin` ends, its values, and the step that is among its members."""
        outer: list[str] = []
        marks: list[Mark] = []
        steps: list[tuple[int, float]] = []
        end = len(line)
        for match in _MEMBER.finditer(line, begin):
            if match["close"]:
                if not outer:
                    end = match.end()
                    break
                outer.pop()
            elif match["open"]:
                if len(outer) >= _DEEPEST:
                    break
                outer.append(match["name"])
            else:
                self._member("/".join([*outer, match["name"]]), float(match["number"]), split, marks, steps)
        return end, marks, min(steps)[1] if steps else None

    def _member(
        self, name: str, number: float, split: str | None, marks: list[Mark], steps: list[tuple[int, float]]
    ) -> None:
        rank = step_rank(name)
        if rank is None or self._wanted.get(name):
            marks.append(Mark(self._wanted.of(split, name), number))
        elif (step := as_step(number)) is not None:
            steps.append((rank, step))
