"""What tf.estimator logs of its evaluations. What it logs of the training, `loss = 0.5, step = 100`, are pairs."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import NUMBER, Format, Mark, as_step
from tuning_service.logs.names import Wanted, step_rank

_DICT = re.compile(r"Saving dict for global step (?P<step>\d{1,15}): (?P<values>.*)")
_VALUE = re.compile(rf"(?:^|, )(?P<name>[^\s,=][^,=]{{0,99}}?) = (?P<number>{NUMBER})(?=,|\s*$)")
_FINAL = re.compile(rf"Loss for final step: (?P<number>{NUMBER})\.?\s*$")
_SPEED = "global_step/sec: "


class Estimator(Format):
    """Metrics of an evaluation begin with `eval_`, as the folder does that they are written to."""

    name: ClassVar[str] = "estimator"
    triggers: ClassVar[tuple[str, ...]] = ("Saving dict for", "Loss for final", _SPEED)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)

    def read(self, line: str) -> Sequence[Mark] | None:
        if (found := _DICT.search(line)) is not None:
            step = as_step(float(found["step"]))
            marks = [] if step is None else [Mark(None, step)]
            return marks + [
                Mark(self._wanted.of("eval", match["name"]), float(match["number"]))
                for match in _VALUE.finditer(found["values"])
                if step_rank(match["name"]) is None
            ]
        if (final := _FINAL.search(line)) is not None:
            return [Mark(self._wanted.named("loss"), float(final["number"]))]
        if _SPEED in line:
            _, _, speed = line.partition(_SPEED)
            found = re.match(NUMBER, speed)
            return [Mark(self._wanted.named("global_step/sec"), float(found[0]))] if found else None
        return None
