"""A bounded memory of a log, and the explanation made of it when a metric was not found."""

import difflib
import math
import re
from collections import deque
from collections.abc import Sequence
from itertools import islice

from tuning_service.logs.base import Found, LogParser, Reading
from tuning_service.logs.names import SPLITS, split_of, squash
from tuning_service.logs.propose import proposal
from tuning_service.logs.sieve import holding, holding_last

_NAMES = 200
_SHOWN_NAMES = 20
_LINE = 160
_NEAR = 3  # lines kept from the beginning, and as many from the end
_LAST = 5
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])\d+,\d+(?![\w.]|,\d)")


class _Near:
    """Lines that mention the words of one metric's name: some from the beginning, some from the end."""

    def __init__(self, metric: str) -> None:
        self._all_words = frozenset(_words(metric))
        words = sorted((word for word in self._all_words if len(word) > 2), key=len, reverse=True)
        self.words = tuple(words[:2]) or (metric.lower(),)
        self._first: list[_Line] = []
        self._latest: deque[_Line] = deque(maxlen=_NEAR)
        self._newest: _Line | None = None

    def add(self, text: str) -> None:
        self._newest = _Line(text[: _LINE * 2])
        (self._first if len(self._first) < _NEAR else self._latest).append(self._newest)

    def was_read(self, text: str) -> None:
        """`text` gave a value of some metric."""
        if self._newest is not None and self._newest.text == text[: _LINE * 2]:
            self._newest.read = True

    def lines(self) -> list[str]:
        """Those that nothing was read from, and those that spell the whole name."""
        found = [*self._first, *self._latest]
        return [line.text for line in found if not line.read or self._all_words <= set(_words(line.text))]


def _begins_word(word: str, text: str) -> bool:
    at = text.find(word)
    while at > 0 and text[at - 1].isalpha():
        at = text.find(word, at + 1)
    return at >= 0


def _words(text: str) -> list[str]:
    return [SPLITS.get(word, word) for word in re.findall(r"[^\W_]+", text.lower())]


class _Line:
    __slots__ = ("read", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.read = False


class _Name:
    """What is kept of one metric's readings."""

    __slots__ = ("count", "first", "forms", "greatest", "last", "least", "sample")

    def __init__(self, reading: Reading, line: str) -> None:
        self.first = self.last = reading
        self.sample = line[:_LINE].strip()
        self.forms = {reading.form: None}
        self.count = 0
        self.least = self.greatest = math.nan

    def add(self, reading: Reading) -> None:
        self.count += 1
        self.last = reading
        if reading.form not in self.forms:
            self.forms[reading.form] = None
        value = reading.value
        if math.isfinite(value):
            # Comparisons with the nan of the beginning are false; min and max take several times as long.
            if not value >= self.least:
                self.least = value
            if not value <= self.greatest:
                self.greatest = value


class Seen:
    """What a log held: names of metrics, lines that mention the words of those that are wanted, the last lines."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self._near = {metric: _Near(metric) for metric in metrics}
        self._nears = tuple(self._near.values())
        self._names: dict[str, _Name] = {}
        self._more_names = False
        self._cut_lines = 0
        self._is_cut_off = False
        self._last: deque[str] = deque(maxlen=_LAST)

    def line(self, text: str) -> None:
        """Remember a line."""
        if not text or text.isspace():
            return
        self._last.append(text)
        # A character has up to four bytes, by which lines are cut; the last one may have been cut in two.
        if len(text) * 4 >= LogParser.MAX_LINE and len(text.encode(errors="replace")) > LogParser.MAX_LINE - 4:
            self._cut_lines += 1
        low = text.lower()
        for near in self._nears:
            for word in near.words:
                # `val` is a part of invalid and interval; only lines that have it are searched.
                if word in low and (len(word) > 3 or _begins_word(word, low)):
                    near.add(text)
                    break

    def cut_off(self, text: str) -> None:
        """Remember a last line, "" for none, that was to go on."""
        self._is_cut_off = bool(text)
        self.line(text)

    def notable(self, lines: Sequence[str], low: str) -> set[int]:
        """The numbers of those of `lines` that `line` has to be told of: of the others nothing would be left.

        `low` is all of them in lower case, in one.
        """
        numbers: set[int] = set()
        words = dict.fromkeys(word for near in self._nears for word in near.words)
        for word in words:
            numbers.update(islice(holding(word, low), _NEAR))
            numbers.update(islice(holding_last(word, low), _NEAR))
        if max(map(len, lines), default=0) * 4 >= LogParser.MAX_LINE:  # one may have been cut
            numbers.update(number for number, line in enumerate(lines) if len(line) * 4 >= LogParser.MAX_LINE)
        left = _LAST
        for number in range(len(lines) - 1, -1, -1):
            line = lines[number]
            if line and not line.isspace() and "\r" not in line:
                numbers.add(number)
                left -= 1
                if not left:
                    break
        return numbers

    def was_read(self, line: str) -> None:
        """`line` gave a value of some metric."""
        for near in self._nears:
            near.was_read(line)

    def reading(self, reading: Reading, line: str) -> None:
        """Remember what `line` gave; "" when it is not known which one did."""
        name = self._names.get(reading.metric)
        if name is None:
            if len(self._names) >= _NAMES and reading.metric not in self._near:
                self._more_names = True
                return
            name = self._names[reading.metric] = _Name(reading, line)
        name.add(reading)

    def found(self) -> Sequence[Found]:
        """See `LogParser.found`."""
        return [
            Found(
                metric=metric,
                count=name.count,
                first=name.first,
                last=name.last,
                least=name.least,
                greatest=name.greatest,
                forms=tuple(name.forms),
                sample=name.sample,
            )
            for metric, name in self._names.items()
        ]

    def explain(self, metric: str) -> str:
        """See `LogParser.explain`."""
        if metric in self._names:
            return f"{metric} was read {self._names[metric].count} times."
        if not self._last:
            return f"The program printed nothing, so there was no {metric} to read.\n{_remedy(metric)}"
        parts = [f"No line of the output gave a value of {metric}."]
        alike = self._alike(metric)
        if alike:
            parts.append("Metrics with a similar name:")
            parts += [f"  {name}, as in: {self._names[name].sample}" for name in alike]
        parts.append(self._all_names())
        samples = {name.sample for name in self._names.values()}
        known = self._near.get(metric)
        near = [line for line in known.lines() if line[:_LINE].strip() not in samples] if known else []
        if near:
            parts.append("Lines that come near:")
            parts += [f"  {_cut(line)}" for line in near]
        else:
            parts.append("The last lines of the output:")
            parts += [f"  {_cut(line)}" for line in self._last]
        if self._cut_lines:
            parts.append(f"Of {self._cut_lines} longer lines only the first {LogParser.MAX_LINE:,} bytes were read.")
        if self._is_cut_off:
            parts.append("The last line was not read: it has no end, for the training was killed.")
        parts += _pattern_for(metric, near)
        if comma := next(filter(None, map(_DECIMAL_COMMA.search, near)), None):
            parts.append(f"Numbers need a decimal point: {comma[0]} is not read.")
        if alike:
            where = "objective.metric, or where else the job file names it"
            parts.append(f"If {alike[0]} is what you mean, write that instead of {metric}: {where}.")
            if _differ_in_split(alike[0], metric):
                parts.append("What is measured on training, validation and test data is never taken for one another.")
        parts.append(_remedy(metric))
        return "\n".join(parts)

    def _all_names(self) -> str:
        if not self._names:
            return "No metric at all was read."
        shown = [f"{name} ({seen.count} x)" for name, seen in list(self._names.items())[:_SHOWN_NAMES]]
        more = " and more" if self._more_names or len(self._names) > _SHOWN_NAMES else ""
        return f"Metrics that were read: {', '.join(shown)}{more}."

    def _alike(self, metric: str) -> list[str]:
        """Names that were read and may be what is meant: those of the same quantity first."""
        wanted = squash(metric)
        known = {name: squash(name) for name in self._names}
        close = difflib.get_close_matches(wanted, list(known.values()), n=3, cutoff=0.6)
        base = _base(wanted)
        same = [name for name in known if _base(known[name]) == base]
        same.sort(key=lambda name: (split_of(name) is None) == (split_of(metric) is not None))
        contained = [name for name, key in known.items() if len(key) > 2 and (key in wanted or wanted in key)]
        return list(dict.fromkeys([*same, *(name for name in known if known[name] in close), *contained]))[:3]


def _differ_in_split(read: str, metric: str) -> bool:
    """`metrics/val_loss` and `ValLoss` were measured on what `val_loss` was."""
    joined = squash(metric).replace("_", "")
    if split_of(metric) is not None and joined in squash(read).replace("_", ""):
        return False
    return (split_of(read) or "train") != (split_of(metric) or "train")


def _base(squashed: str) -> str:
    """A squashed name without what it was measured on, and with its abbreviations written out."""
    rest = squashed.partition("_")[2] if split_of(squashed) else squashed
    return re.sub(r"(?<![a-z])acc(?![a-z])", "accuracy", rest)


def _pattern_for(metric: str, lines: Sequence[str]) -> list[str]:
    for line in lines:
        found = proposal(metric, line)
        if found is not None:
            pattern, value = found
            quoted = pattern.replace("'", "''")
            return [f"This line in the job file reads {metric} = {value:g} from the line {_cut(line.strip())!r}:",
                    f"  log_patterns: ['{quoted}']"]  # fmt: skip
    return []


def _remedy(metric: str) -> str:
    variable = re.sub(r"\W", "_", metric)
    json_line = f'print(json.dumps({{"{metric}": {variable}}}))'
    return (
        f'To report it, print(f"{metric}={{{variable}}}", flush=True) or {json_line}, '
        "or describe your own format in log_patterns."
    )


def _cut(line: str) -> str:
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
