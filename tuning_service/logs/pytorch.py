"""What the scripts of PyTorch's own examples and tutorials print, on which many others were built."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.around import step_in
from tuning_service.logs.marks import FOREIGN, NUMBER, Format, Mark, as_step
from tuning_service.logs.names import SPLITS, Wanted

_SPLIT = r"(?P<split>[Tt]rain(?:ing)?|[Tt]est(?:ing)?|[Vv]al(?:id(?:ation)?)?|[Ee]val(?:uation)?)"
# Train Epoch: 1 [640/60000 (1%)]	Loss: 2.3
_PLACE = re.compile(rf"{_SPLIT} Epoch:? ?\[?(?P<epoch>\d{{1,15}})\]?[: ]")
# Test set: Average loss: 0.05, Accuracy: 9870/10000 (99%)
_SET = re.compile(rf"{_SPLIT} set: ?(?=\S|$)")
# Test Error: on a line of its own, with the values on the next
_HEAD = re.compile(rf"{_SPLIT} (?:set|Error):\s*$")
# Epoch: [0][ 10/5005]	Time  0.5 ( 0.7)	Loss 6.9e+00 (7.0e+00)	Acc@1   0.00 (  0.10)
# Test: [ 10/391]	Time …
#  * Acc@1 71.2 Acc@5 90.1
_METERS = re.compile(r"(?:Epoch: ?\[(?P<epoch>\d{1,15})\] ?|Test: ?|Validation: ?)\[ *\d{1,12}/\d{1,12}\]")
_METER = re.compile(
    rf"(?<![\w(])(?P<name>[A-Za-z][\w@-]{{0,60}})[ :]{{1,9}}(?P<now>{NUMBER}) {{0,9}}\( {{0,9}}(?P<mean>{NUMBER})\)"
)
_SUMMARY = re.compile(r"^\s{0,9}\*\s(?=\s{0,9}(?:Acc|Prec))")
_TOP = re.compile(rf"(?<!\S)(?P<name>(?:Acc|Prec)@\d{{1,3}}):? {{0,9}}(?P<number>{NUMBER})(?=\s|$)")
# [1,  2000] loss: 2.17
_MINI = re.compile(rf"^\[(?P<epoch>\d{{1,15}}), *\d{{1,12}}\] +(?P<name>[a-z_ ]{{1,40}}): (?P<number>{NUMBER})\s*$")
# Accuracy of the network on the 10000 test images: 54 %
_IMAGES = re.compile(
    rf"Accuracy of the (?:network|model) on the (?:\d+ )?(?P<split>\w+) (?:images|set|data): "
    rf"(?!{FOREIGN})(?P<number>{NUMBER}) ?%?"
)
_VALUE = re.compile(
    rf"(?<![\w/])(?P<name>[A-Za-z][\w@/-]{{0,60}}(?: [A-Za-z][\w@/-]{{0,60}}){{0,2}})[:=] {{0,9}}"
    rf"(?!{FOREIGN})(?P<number>{NUMBER})(?:/(?P<of>\d{{1,12}}))?(?![\w.:/-])"
)
_NO_METRICS = {"time", "data", "batch_time", "data_time", "batch"}
_MEANS = ("average ", "avg ", "mean ", "avg_", "average_")


class PyTorch(Format):
    """Values of the training keep their names, all others begin with what they were measured on: `test_loss`.

    Names are in lower case, without `Average`. `9870/10000` is the fraction 0.987. Of a value with its mean, the mean.
    """

    name: ClassVar[str] = "pytorch"
    triggers: ClassVar[tuple[str, ...]] = ("oss", "ccuracy", "cc@", "rec@", " Error:", " set:")
    bare: ClassVar[tuple[str, ...]] = (r"c@\d", " Error:", " set:", r": ?\[ *\d{1,12}/")

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._head: str | None = None  # the split of which the next line speaks

    def read(self, line: str) -> Sequence[Mark] | None:
        head, self._head = self._head, None
        marks = (
            self._meters(line)
            or self._labelled(line)
            or self._mini_batch(line)
            or self._images(line)
            or self._below(line, head)
        )
        if not marks or marks[0].metric is None or (step := step_in(line)) is None:
            return marks
        return [Mark(None, step), *marks]

    def _meters(self, line: str) -> list[Mark] | None:
        summary = _SUMMARY.match(line)
        if summary is not None:
            return [Mark(self._of("test", m["name"]), float(m["number"])) for m in _TOP.finditer(line)]
        found = _METERS.search(line) if "[" in line else None
        if found is None:
            return None
        split = "train" if found["epoch"] else "test"
        values = [
            Mark(self._of(split, m["name"]), float(m["mean"]))
            for m in _METER.finditer(line, found.end())
            if m["name"].lower() not in _NO_METRICS
        ]
        return [*_at(found["epoch"]), *values] if values else None

    def _labelled(self, line: str) -> list[Mark] | None:
        if (head := _HEAD.search(line)) is not None:
            self._head = SPLITS[head["split"].lower()]
            return None
        place = _PLACE.search(line)
        found = place or _SET.search(line)
        if found is None:
            return None
        values = self._values(SPLITS[found["split"].lower()], line[found.end() :])
        if not values:
            return None
        return [*_at(place["epoch"]), *values] if place else values

    def _values(self, split: str, text: str) -> list[Mark]:
        marks = []
        for match in _VALUE.finditer(text):
            number = float(match["number"])
            if match["of"]:
                if not float(match["of"]):
                    continue
                number /= float(match["of"])
            marks.append(Mark(self._of(split, match["name"]), number))
        return marks

    def _mini_batch(self, line: str) -> list[Mark] | None:
        found = _MINI.match(line) if line[:1] == "[" else None
        if found is None:
            return None
        return [*_at(found["epoch"]), Mark(self._of("train", found["name"]), float(found["number"]))]

    def _images(self, line: str) -> list[Mark] | None:
        found = _IMAGES.search(line) if "Accuracy of the" in line else None
        split = SPLITS.get(found["split"].lower()) if found else None
        return [Mark(self._of(split, "accuracy"), float(found["number"]))] if found and split else None

    def _below(self, line: str, head: str | None) -> list[Mark] | None:
        return self._values(head, line) or None if head is not None and line[:1].isspace() else None

    def _of(self, split: str, name: str) -> str:
        low = name.strip().lower()
        for mean in _MEANS:
            low = low.removeprefix(mean)
        return self._wanted.of(split, low)


def _at(epoch: str | None) -> list[Mark]:
    step = as_step(float(epoch)) if epoch else None
    return [] if step is None else [Mark(None, step)]
