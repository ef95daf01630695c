"""Users' own patterns, regular expressions and grok: what may be written, and how a line is read with them."""

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]  # the parsed form has no public name
from re import _parser  # type: ignore[attr-defined]
from typing import Any, ClassVar

from tuning_service.logs.grok import translate
from tuning_service.logs.marks import Format, Mark, as_step
from tuning_service.logs.names import Wanted, squash, step_rank

LONGEST_PATTERN = 500
_LOOKED_AT = 2000  # characters of a line
_LOOKED_AT_WHEN_SLOW = 100
_SLOW_S = 0.1
_MOST_REPEATS = 12
_REPEATS = {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}
_MANY = 20  # a repeat of more than this counts as endless


def check_pattern(text: str) -> None:
    """See `tuning_service.logs.check_pattern`."""
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"is longer than {LONGEST_PATTERN} characters")
    translation = translate(text)
    try:
        compiled = re.compile(translation.regex)
        tree = _parser.parse(translation.regex)
    except re.error as error:
        where = "" if error.pos is None else f", at {translation.place(error.pos)}"
        raise ValueError(f"is no regular expression: {error.msg}{where}") from error
    except (RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    groups = set(compiled.groupindex)
    if not {name for name in groups if step_rank(name) is None}:
        raise ValueError(
            "has no group that names a metric: write %{NUMBER:val_accuracy}, (?P<val_accuracy>[0-9.]+), "
            "or both (?P<metric>…) and (?P<value>…)"
        )
    if "metric" in groups and "value" not in groups:
        raise ValueError("has a group named metric, and none named value")
    if sum(_endless(tree)) > _MOST_REPEATS:
        raise ValueError(f"has more than {_MOST_REPEATS} of *, + and the like: leave out what need not be looked at")


def _endless(items: Iterable[Any], *, inside: bool = False) -> Iterator[int]:
    """A 1 for each endless repeat. Raises ValueError where trying all ways to match could take for ever."""
    for code, argument in items:
        if code in _REPEATS:
            _, most, body = argument
            endless = most > _MANY
            if endless and inside:
                raise ValueError("has a repeat within a repeat, as in (a+)+, which can take for ever: repeat once")
            if endless:
                yield 1
            yield from _endless(body, inside=inside or endless)
        elif code is op.BRANCH:
            if inside:
                raise ValueError("has alternatives within a repeat, as in (a|ab)*, which can take for ever: repeat one")
            for branch in argument[1]:
                yield from _endless(branch)
        else:
            for body in _bodies(argument):
                yield from _endless(body, inside=inside)


def _bodies(argument: Any) -> Iterator[Any]:
    """The parsed expressions within the argument of a group, a look-around or a condition."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple):
        for item in argument:
            yield from _bodies(item)


class Patterns(Format):
    """Each pattern is searched for once a line. A group is a metric's name; `metric` and `value` name it in the log."""

    name: ClassVar[str] = "pattern"
    exclusive: ClassVar[bool] = False
    triggers: ClassVar[tuple[str, ...]] = ("",)
    bare: ClassVar[tuple[str, ...]] = ("",)

    def __init__(self, patterns: Sequence[str], metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics, _as_group)
        self._patterns = [re.compile(translate(pattern).regex) for pattern in patterns]
        self._reach = [_LOOKED_AT] * len(self._patterns)

    def read(self, line: str) -> Sequence[Mark] | None:
        marks: list[Mark] = []
        with _interruptible() as search:
            for index, pattern in enumerate(self._patterns):
                begun = time.thread_time()
                match = search(pattern, line[: self._reach[index]])
                # It will take as long again on a line like this one.
                if time.thread_time() - begun > _SLOW_S:
                    self._reach[index] = _LOOKED_AT_WHEN_SLOW if self._reach[index] == _LOOKED_AT else 0
                if match is not None:
                    marks += self._marks(match.groupdict())
        if not marks:
            return None
        return sorted(marks, key=lambda mark: mark.metric is not None)  # steps first: they hold for the whole line

    def _marks(self, groups: dict[str, str | None]) -> Iterator[Mark]:
        if "metric" in groups:
            name, value = groups.pop("metric"), _number(groups.pop("value", None))
            if name and value is not None:
                yield Mark(self._wanted.named(name), value)
        for name, text in groups.items():
            value = _number(text)
            if value is None:
                continue
            named = self._wanted.get(name)
            if named or step_rank(name) is None:
                yield Mark(named or name, value)
            elif (step := as_step(value)) is not None:
                yield Mark(None, step)


def _as_group(name: str) -> str:
    """As near to `name` as a group's name can come."""
    return re.sub(r"\W", "_", squash(name))


class _TooSlow(Exception):
    """A search was interrupted."""


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[re.Pattern[str], str], re.Match[str] | None]]:
    """Yields a search that ends after a while even if it has not found all ways in which a pattern does not match.

    A signal after so much computing is what can interrupt it, and only the main thread gets one, which is where a
    Spark worker runs its task. In another thread nothing but the length of the line bounds the search.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda pattern, text: pattern.search(text)
        return
    before = signal.signal(signal.SIGVTALRM, _interrupt)
    try:
        yield _search_for_a_while
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _interrupt(_number: int, _frame: object) -> None:
    raise _TooSlow


def _search_for_a_while(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, _SLOW_S * 2)
        try:
            return pattern.search(text)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _TooSlow:
        return None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.strip().rstrip("%"))
    except ValueError:
        return None
