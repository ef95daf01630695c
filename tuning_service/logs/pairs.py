"""The customary prints: `loss=0.3`, `val_acc: 0.91`, several on a line, and `Epoch 3/10` or `step=40` for the step."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.around import Steps, inherited, labels_in
from tuning_service.logs.marks import FOREIGN, NUMBER, WRAPPED, Format, Mark
from tuning_service.logs.names import SPLITS, Wanted, split_of, squash, step_rank

# A value ends where neither a word, nor a further part of a version, date, time, fraction or address follows.
# Each begins with a character of its own, which is found many times faster than one of several. The
# lookbehinds skip the time of day and lines of code, neither of which has a name.
_VALUE = rf"""(?P<separator>[ ]{{0,8}})
         ["'\[]?{WRAPPED}
         (?!{FOREIGN})(?P<number>{NUMBER})
         (?![\w/:] | \.\w | -\w | ,\d{{3}}\b)%?"""
EQUALS = re.compile(f"={_VALUE}", re.VERBOSE)
COLON = re.compile(rf":(?<!\W\d\d:)(?<!\.py:)(?<!\.cc:)(?<!\.cpp:){_VALUE}", re.VERBOSE)
_OF_NOTHING = frozenset({"lr", "learning_rate", "time", "elapsed", "eta", "duration"})  # measured on no data
_WORDS = 3  # most words that a metric's name has
# What stands before a separator, read backwards, since the name ends there and may begin anywhere: words that can be
# part of a name, as far as no punctuation, dash or space of two parts them. `alone` when nothing else is before it.
_PARTS = r",|;()\[\]{}<>\t:=\"'`*"
_WORD = rf"[\w./@-]*[^\W\d]\#*(?=[\s{_PARTS}]|\Z)"
_SPACE = r"[^\S\t]"
_BEFORE = re.compile(
    rf"""["'`* ]*+{_SPACE}?(?P<words>{_WORD}(?:{_SPACE}{_WORD}){{0,{_WORDS}}})
         (?P<alone>{_SPACE}?(?:[{_PARTS}]|\Z)|\s[-\u2013\u2014]+\s|\s\s)?""",
    re.VERBOSE,
)
_OWNER = re.compile(r"(?<![\w'.-])([\w.-]{1,60})'s (?=[\w@./-]{1,60} ?[:=])")  # valid_1's auc: 0.9, of LightGBM
_AFTER_CODE = (" - ", "]", " |")  # module:function:33 - of loguru, [file:function:33] of logging
_REMEMBERED = 1000
_GAP = 200  # a name is looked for in so many characters before its separator
# Variables that libraries advise to set, as TensorFlow does at each start, and what torchrun says of a failed process.
_NO_METRIC = re.compile(r"(?:TF|OMP|MKL|KMP|CUDA|NCCL|XLA|TORCH)_[A-Z0-9_]+|pid|exitcode|(?:local_)?rank|got_signal")
# Words that stand before a name without being part of it.
_NOISE = frozenset(
    {"trace", "debug", "info", "notice", "warning", "warn", "error", "critical"}
    | {"the", "and", "final", "current", "at", "on", "in", "of"}
)
# Words before a name that make it another one, of values that are not the line's own.
_ANOTHER = frozenset({"best", "previous", "prev", "old", "initial", "target", "min", "max", "lowest", "highest"})


class Pairs(Format):
    """A name, `=` or `:`, a number.

    A name before `=` is one word, before `:` up to three (`Val Acc: 0.9` is `Val_Acc`). What the job names is
    recognised in either case. The first step on a line holds for what stands before it, too, each for what follows it.
    A label such as `Validation:` becomes part of the names after it, up to the next label. Of `val Loss: 0.4 Acc: 0.9`
    the second is `val_acc`, if the job names that and no line has spelled it so.
    """

    name: ClassVar[str] = "pairs"
    triggers: ClassVar[tuple[str, ...]] = ("",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._steps = Steps()
        # Programs print the same names over and over; finding one afresh is most of the work on a line.
        self._names: dict[tuple[str, bool, str, bool, bool, str | None], str | None] = {}
        self._unspelled = {metric for metric in metrics if split_of(metric)}

    def read(self, line: str) -> Sequence[Mark] | None:
        if "'s " in line:
            line = _OWNER.sub(r"\1_", line)
        low = line.lower()
        # Most lines have no such word, which is found much faster than by searching for a step.
        steps = self._steps.of(line) if "epoch" in low or "step" in low or "iter" in low else []
        values = self._values(line, low)
        if not steps:
            return [Mark(name, number) for _, name, number in values] or None
        steps[0] = (-1, steps[0][1])
        marks = [(at, Mark(None, step)) for at, step in steps]
        marks += [(at, Mark(name, number)) for at, name, number in values]
        return [mark for _, mark in sorted(marks, key=lambda pair: pair[0])]

    def _values(self, line: str, low: str) -> list[tuple[int, str, float]]:
        values: list[tuple[int, str, float]] = []
        end = 0
        labels: list[tuple[int, str]] | None = None
        for match in _pairs(line):
            spaces, number = match.groups()
            start, stop = match.span()
            separator = line[start]
            attached = not (separator == ":" and spaces)
            if start > end and line[start - 1] == " ":
                start -= 1
                attached = False
            if start > end and line[start - 1] in "\"'":
                start -= 1
                attached = False
            before = _before(line, end, start)
            end = stop
            if before is None:
                continue
            words, alone = before.groups()
            if attached and separator == alone == ":" and number.isdigit() and line.startswith(_AFTER_CODE, stop):
                continue
            if labels is None:
                labels = labels_in(line, low)
            split = next((split for at, split in reversed(labels) if at <= start), None) if labels else None
            key = (words, alone is not None, separator, attached, number.isdigit(), split)
            try:
                name = self._names[key]
            except KeyError:
                if len(self._names) >= _REMEMBERED:
                    self._names.clear()
                name = self._names[key] = self._name(*key)
            if name is not None:
                values.append((start, name, float(number)))
        return self._with_splits(line, values) if self._unspelled else values

    def _with_splits(self, line: str, values: list[tuple[int, str, float]]) -> list[tuple[int, str, float]]:
        self._unspelled -= {name for _, name, _ in values}
        if len(values) < 2 or not self._unspelled:
            return values
        splits = inherited(line, [at for at, _, _ in values])
        return [
            (at, self._owned(split, name), number) for split, (at, name, number) in zip(splits, values, strict=True)
        ]

    def _owned(self, split: str | None, name: str) -> str:
        full = self._wanted.get(f"{split}_{name}") if split else None
        return full if full in self._unspelled else name

    def _name(
        self, backwards: str, alone: bool, separator: str, attached: bool, whole: bool, split: str | None
    ) -> str | None:
        words = backwards[::-1].split()
        alone = alone and len(words) == 1 and words[0][0] != "#"
        kept: list[str] = []
        while words and words[-1].lower() not in _NOISE:
            kept.insert(0, words.pop().lstrip("#"))
        if not kept:
            return None
        if split is not None:
            split = split if step_rank(kept[-1]) is None and squash(kept[-1]) not in _OF_NOTHING else None
        elif named := self._wanted.get(" ".join(kept)) or (self._wanted.get(kept[-1]) if alone else None):
            return named
        if len(kept) > _WORDS or (separator == "=" and attached):
            if len(kept) > 1 and kept[-2].lower() in SPLITS:
                split = SPLITS[kept[-2].lower()]
            kept = kept[-2:] if len(kept) > 1 and kept[-2].lower() in _ANOTHER else kept[-1:]
        # master.example.com:7077, train.py:33 and the like
        if separator == ":" and attached and whole and ("." in kept[-1] or kept[-1] == "localhost"):
            return None
        name = " ".join(kept)
        if self._wanted.get(name) is None and any(
            step_rank(n) is not None or _NO_METRIC.fullmatch(n) for n in {name, kept[-1]}
        ):
            return None
        return self._wanted.of(split, name)


def _pairs(line: str) -> list[re.Match[str]]:
    found = list(EQUALS.finditer(line)) if "=" in line else []
    if ":" not in line:
        return found
    more = list(COLON.finditer(line))
    return sorted([*found, *more], key=re.Match.start) if found and more else found or more


def _before(text: str, end: int, at: int) -> re.Match[str] | None:
    """What could name the value whose separator is `at`; what is before it was used up to `end`."""
    return _BEFORE.match(text[max(end, at - _GAP) : at][::-1])


def is_named(text: str, end: int, at: int) -> bool:
    """False when nothing between `end` and the separator `at` can name its value."""
    return _before(text, end, at) is not None
