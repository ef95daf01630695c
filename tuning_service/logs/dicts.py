"""Python dictionaries on a line, as the Trainer of Hugging Face prints them: `{'loss': 0.5, 'epoch': 1.0}`."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import NUMBER, Format, Mark, as_step
from tuning_service.logs.names import Wanted, step_rank

# Numbers may be quoted, as since Transformers 5, or be printed by numpy or torch.
_MEMBER = re.compile(
    rf"""(?P<quote>['"])(?P<name>[^'"{{}}]{{1,100}})(?P=quote)\s?:\s?
         (?:(?P<open>\{{) | (?:(?:torch\.)?tensor\(|np\.float(?:16|32|64)\()?['"]?(?P<number>{NUMBER})['"]?(?=[,}})]))
         | (?P<close>\}})""",
    re.VERBOSE,
)
_DEEPEST = 4


class Dicts(Format):
    """Numeric members are metrics, members of a dictionary within are `outer/inner`, `epoch` and its kin the step.

    The line is searched, not evaluated: that is safe and takes a line with anything before or behind the dictionary.
    """

    name: ClassVar[str] = "dicts"
    triggers: ClassVar[tuple[str, ...]] = ("{'",)
    bare: ClassVar[tuple[str, ...]] = (r"\{'",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)

    def read(self, line: str) -> Sequence[Mark] | None:
        outer: list[str] = []
        marks: list[Mark] = []
        steps: list[tuple[int, float]] = []
        for match in _MEMBER.finditer(line, line.index("{'")):
            if match["close"]:
                if not outer:
                    break
                outer.pop()
            elif match["open"]:
                if len(outer) >= _DEEPEST:
                    break
                outer.append(match["name"])
            else:
                self._member("/".join([*outer, match["name"]]), float(match["number"]), marks, steps)
        if steps:
            marks.insert(0, Mark(None, min(steps)[1]))
        return marks or None

    def _member(self, name: str, number: float, marks: list[Mark], steps: list[tuple[int, float]]) -> None:
        rank = step_rank(name)
        if rank is None or self._wanted.get(name):
            marks.append(Mark(self._wanted.named(name), number))
        elif (step := as_step(number)) is not None:
            steps.append((rank, step))
