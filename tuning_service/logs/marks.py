"""What the formats have in common: numbers, names, steps, and the contract of a format."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,5})?|(?:nan|NaN|NAN|inf(?:inity)?|Inf(?:inity)?|INF))"
_SPELLED = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
_STEP_ORDER = ("global_step", "step", "iteration", "iter", "epoch")  # the finest that is there counts
_LONGEST_NAME = 100
LARGEST_STEP = 2**53


class Mark(NamedTuple):
    """One thing read on a line: a value of a metric, or, when `metric` is None, the step."""

    metric: str | None
    value: float


class Format(ABC):
    """One way in which programs print measurements. Keeps nothing from line to line."""

    exclusive: ClassVar[bool] = False  # True: a line in this format is in no other

    @abstractmethod
    def read(self, line: str) -> Sequence[Mark] | None:
        """What `line` says, in its order; None when it is not in this format. Never raises."""


def squash(name: str) -> str:
    """`name` without the differences that are forgiven: case, and what stands between words."""
    return re.sub(r"[\s\-_]+", "_", name.strip()).lower()


def tidy(name: str) -> str:
    """`name` as it is reported: without spaces, and with nothing in it that a database or a page could not hold."""
    short = re.sub(r"\s+", "_", name.strip())[:_LONGEST_NAME]
    return short if short.isprintable() else "".join(c if c.isprintable() else "_" for c in short)


class Wanted:
    """Metrics that a job names, which are recognised however their names are spelled in the log."""

    def __init__(self, names: Sequence[str], key: Callable[[str], str] = squash) -> None:
        """Names with an equal `key` are one to the reader; of several that are, an exact spelling tells them apart."""
        self._key = key
        self._exact = frozenset(names)
        self._by_key = {key(name): name for name in reversed(names)}

    def get(self, name: str) -> str | None:
        """The metric, as the job spells it, that `name` means; None when it means none of them."""
        return name if name in self._exact else self._by_key.get(self._key(name))


def step_rank(name: str) -> int | None:
    """How fine a step this name counts, 0 the finest; None when it names no step."""
    squashed = squash(name)
    return _STEP_ORDER.index(squashed) if squashed in _STEP_ORDER else None


def spelled_number(text: str) -> float | None:
    """The value of "nan", "inf" and the like, which JSON encoders write as strings."""
    return float(text) if len(text) < 12 and _SPELLED.fullmatch(text.strip()) else None


def as_step(value: float) -> float | None:
    """`value` when it can count steps: an epoch of 1.5 belongs to step 1."""
    return float(int(value)) if 0 <= value < LARGEST_STEP else None
