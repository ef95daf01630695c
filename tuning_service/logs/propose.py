"""A pattern that reads a metric from a line that came near, tried out on that line."""

import re
from collections.abc import Iterator

from tuning_service.logs.marks import FOREIGN, NUMBER
from tuning_service.logs.names import SPLITS
from tuning_service.logs.patterns import Patterns, check_pattern

_NUMBER = re.compile(rf"(?<![\w.:/-])(?<!\d,)(?!{FOREIGN})-?{NUMBER}(?![\w:/]|\.\w|-\d)", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_FAR = 60  # characters between a word and its number
_SPECIAL = re.compile(r"([\\^$.|?*+(){}\[\]])")


def proposal(metric: str, line: str) -> tuple[str, float] | None:
    """A pattern for `log_patterns` and the value that it finds of `metric` in `line`; None when there is none."""
    words = [word for word in _WORD.findall(metric.lower()) if len(word) > 1]
    if not words or _of_another_split(words[0], line):
        return None
    group = re.sub(r"[^\w/@.-]", "_", metric)
    if not group[0].isalpha():
        group = f"m_{group}"
    for pattern, value in _candidates(words, f"%{{NUMBER:{group}}}", line):
        try:
            check_pattern(pattern)
        except ValueError:
            continue
        marks = Patterns((pattern,), (metric,)).read(line) or ()
        if any(mark.metric == metric and mark.value == value for mark in marks):
            return pattern, value
    return None


def _of_another_split(first: str, line: str) -> bool:
    """True when the line speaks of the training and the metric of a validation, or the other way round."""
    split = SPLITS.get(first)
    named = {SPLITS[word] for word in _WORD.findall(line.lower()) if word in SPLITS}
    return bool(named) and split not in named


def _candidates(words: list[str], number: str, line: str) -> Iterator[tuple[str, float]]:
    low = line.lower()
    # The last word says most: `loss` of val_loss.
    for word in reversed([word for word in words if word in low]):
        at = low.index(word)
        # Further words of the name that stand right before it belong to what is looked for.
        begin = min((b for b in (low.rfind(w, max(0, at - 20), at) for w in words) if b >= 0), default=at)
        yield from sorted(_around(line, begin, at, at + len(word), number), key=lambda found: found[1].is_integer())


def _around(line: str, begin: int, at: int, end: int, number: str) -> Iterator[tuple[str, float]]:
    """Patterns of the numbers after a name, which is line[begin:end] and whose last word begins at `at`, and before."""
    for after in _NUMBER.finditer(line, end, end + _FAR):
        yield _literal(line[begin : after.start()]) + number, float(after[0])
        yield _literal(line[at:end]) + "%{DATA}" + number, float(after[0])
    before = list(_NUMBER.finditer(line, max(0, at - _FAR), at))
    if before:
        yield number + _literal(line[before[-1].end() : end]), float(before[-1][0])


def _literal(text: str) -> str:
    """A regular expression of `text`, whatever the numbers and the spaces in it are."""
    parts = re.split(r"(\d+(?:\.\d+)?|\s+)", text)
    return "".join(_part(part) for part in parts)


def _part(text: str) -> str:
    if text.isspace():
        return r"\s+"
    if text[:1].isdigit():
        return "%{NUMBER}"
    return _SPECIAL.sub(r"\\\1", text)
