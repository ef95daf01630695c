"""What the formats have in common: numbers, marks, and the contract of a format."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,5})?|(?:nan|NaN|NAN|inf(?:inity)?|Inf(?:inity)?|INF))"
# Where a number begins as many languages write it, 0,5 or 1.234,5 or 1 234,5 or 1'234.5, of which a part would be read.
FOREIGN = (
    r"[-+]?(?:\d{1,20},\d"
    r"|[1-9]\d{0,2}(?:(?:\.\d{3}){1,6},\d{1,20}(?![.\d])|(?:[ ]\d{3}){1,6},\d"
    r"|(?:[\u00a0\u2009\u202f'\u2019]\d{3}){1,6}(?!\d)))"
)
# What numpy, JAX, torch and TensorFlow print around a number.
WRAPPED = (
    r"(?:(?:torch\.)?tensor\(|np\.float(?:16|32|64)\(|[aA]rray\("
    r"|<tf\.Tensor:[ ]shape=\(\),[ ]dtype=\w{1,20},[ ]numpy=)?"
)
_SPELLED = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
LARGEST_STEP = 2**53
TIME = "\0"  # stands for a metric's name where a line says its own time; no metric is named so

COUNTED = "\1"  # stands there where a line's values are counted, whatever step was named before


class Mark(NamedTuple):
    """One thing read on a line: a value of a metric; the step, when `metric` is None; its Unix time; or COUNTED."""

    metric: str | None
    value: float


class Format(ABC):
    """One way in which programs print measurements: a state machine over the lines of one process.

    `read` is called in order for each line that holds one of `triggers` and that has a value after = or a colon, a word
    for a step, or a match of one of `bare`; while the format is `waiting`, for each line. Nothing raises, memory is
    bounded, and each call takes time in proportion to the line.
    """

    name: ClassVar[str]
    triggers: ClassVar[tuple[str, ...]] = ()  # what lines of the format hold one of; "" is in each
    # Regular expressions for its lines that have no value after = or a colon. Fast ones begin with a rare character.
    bare: ClassVar[tuple[str, ...]] = ()
    waiting: bool | None = None  # the next line may be in the format whatever it says; None of those that never wait
    exclusive: ClassVar[bool] = True  # a line that is in this format is in no later one

    @abstractmethod
    def read(self, line: str) -> Sequence[Mark] | None:
        """What `line` says, in its order; None when it is not in this format."""

    def passing(self, text: str) -> None:  # noqa: B027  # most formats have no use for it
        """Take note of a progress bar's state that the next one writes over."""


Maker = Callable[[Sequence[str]], Format]


def spelled_number(text: str) -> float | None:
    """The value of "nan", "inf" and the like, which JSON encoders write as strings."""
    return float(text) if len(text) < 12 and _SPELLED.fullmatch(text.strip()) else None


def as_step(value: float) -> float | None:
    """`value` when it can count steps: an epoch of 1.5 belongs to step 1."""
    return float(int(value)) if 0 <= value < LARGEST_STEP else None


def as_time(value: float) -> float | None:
    """Unix seconds, of seconds or milliseconds between 2001 and 2286; None for what can be no such time."""
    for unit in (1, 1000):
        if 1e9 <= value / unit < 1e10:
            return value / unit
    return None
