"""What Lightning prints besides tqdm's bars: Rich's bars, in several lines, and the tables of `test` and `validate`."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import NUMBER, Format, Mark, as_step
from tuning_service.logs.names import Wanted

# Epoch 1/1  ━━━━ 3/3 0:00:00 • 0:00:00 300.72it/s train_loss: 0.365 val_loss:
_RICH = re.compile(
    r"Epoch (?P<epoch>\d{1,15})/-?\d{1,15} +[\u2501\u2578\u257a ]{1,300} \d{1,12}/(?:\d{1,12}|--) "
    r"[-:\d]{1,12} \u2022 [-:\d]{1,12} [\d.]{1,12}it/s ?(?P<values>.*)"
)
_NEXT = re.compile(r" {20,}(?P<values>\S.*)")
_VALUE = re.compile(rf"(?P<name>[^\s:]{{1,100}}): {{1,99}}(?P<number>{NUMBER})(?=\s|$)")
_OPEN = re.compile(r"(?P<name>[^\s:]{1,100}):\s*$")
_LEADING = re.compile(rf"\s*(?P<number>{NUMBER})(?=\s|$)")
_TABLE = re.compile(r"^[\s\u2503\u2502|]*(?:Test|Validate|Validation|Runningstage\.\w+) metric\b")
_ROW = re.compile(
    rf"^[\s\u2502|]{{1,80}}(?P<name>[^\s\u2502|]{{1,100}})[\s\u2502|]{{1,80}}(?P<number>{NUMBER})(?=[\s\u2502|])"
)
_RULE = re.compile(r"^[\s\u2500-\u257f]+$")
_MOST_PARTS = 100  # lines that a bar may be broken into
_VERSION = "v_num"


class Lightning(Format):
    """A bar of Rich ends with the line that no longer is indented under it; its epochs count from 0."""

    name: ClassVar[str] = "lightning"
    triggers: ClassVar[tuple[str, ...]] = ("it/s", " metric")
    bare: ClassVar[tuple[str, ...]] = (" metric",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._open: str | None = None  # a name at a line's end, whose value stands on the next
        self._parts = 0  # lines that may still belong to a bar
        self._in_table = False
        self.waiting = False

    def read(self, line: str) -> Sequence[Mark] | None:
        marks = self._read(line)
        self.waiting = self._in_table or self._parts > 0
        return marks

    def _read(self, line: str) -> Sequence[Mark] | None:
        if self._parts and (found := _NEXT.match(line)) is not None:
            self._parts -= 1
            return self._values(found["values"])
        self._parts, self._open = 0, None
        if " metric" in line and _TABLE.match(line):
            self._in_table = True
        elif self._in_table:
            return self._row(line)
        elif "it/s" in line and (found := _RICH.search(line)) is not None:
            self._parts = _MOST_PARTS
            values = self._values(found["values"])
            step = as_step(float(found["epoch"]))
            return values if step is None else [Mark(None, step), *values]
        return None

    def _values(self, text: str) -> list[Mark]:
        marks = []
        if self._open is not None and (value := _LEADING.match(text)) is not None:
            marks.append(Mark(self._wanted.named(self._open), float(value["number"])))
        self._open = None
        marks += [
            Mark(self._wanted.named(match["name"]), float(match["number"]))
            for match in _VALUE.finditer(text)
            if match["name"] != _VERSION
        ]
        if (open_ := _OPEN.search(text)) is not None:
            self._open = open_["name"]
        return marks

    def _row(self, line: str) -> list[Mark] | None:
        row = _ROW.match(line + " ")
        if row is not None:
            return [Mark(self._wanted.named(row["name"]), float(row["number"]))]
        if not _RULE.match(line):
            self._in_table = False
        return None
