"""Names of metrics: how they are compared, reported, and kept apart by what they were measured on."""

import re
from collections.abc import Callable, Mapping, Sequence

_LONGEST_NAME = 100
_STEP_ORDER = ("global_step", "step", "iteration", "iter", "epoch")  # the finest that is there counts
_SEPARATORS = re.compile(r"[\s\-_/.]+")
_SPACES = re.compile(r"\s+")
# What a metric was measured on: ways to write it, and what it is called in names.
SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "validating": "val",
    "test": "test",
    "testing": "test",
    "eval": "eval",
    "evaluation": "eval",
    "evaluate": "eval",
    "evaluating": "eval",
}


def squash(name: str) -> str:
    """`name` without the differences that are forgiven.

    Those are case, what stands between words, and the ways to write on what it was measured: `Validation Loss`,
    `valid/loss` and `val_loss` are one.
    """
    flat = _SEPARATORS.sub("_", name.strip()).lower()
    first, separator, rest = flat.partition("_")
    return SPLITS.get(first, first) + separator + rest if separator else flat


def split_of(name: str) -> str | None:
    """What `name` says that it was measured on: "train", "val", "test", "eval"; None when it says nothing."""
    first, separator, _ = _SEPARATORS.sub("_", name.strip()).lower().partition("_")
    return SPLITS.get(first) if separator else None


def tidy(name: str) -> str:
    """`name` as it is reported: without spaces, and with nothing in it that a database or a page could not hold.

    There are such of spaces alone.
    """
    short = _SPACES.sub("_", name.strip())[:_LONGEST_NAME] or "_"
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

    def named(self, name: str) -> str:
        """The metric's name to report: as the job spells it, or as the log does."""
        return self.get(name) or tidy(name)

    def of(self, split: str | None, name: str) -> str:
        """The name to report of what was measured on `split`, a value of `SPLITS`, or None.

        Values of training keep their plain names, as long as the job does not ask for `train_…`; of all others the
        split becomes part of the name, so that they never are taken for each other.
        """
        if split is None or split_of(name) is not None:
            return self.named(name)
        full = f"{split}_{name}"
        if (found := self.get(full)) is not None:
            return found
        return self.named(name) if split == "train" else tidy(full)


def step_rank(name: str) -> int | None:
    """How fine a step this name counts, 0 the finest; None when it names no step.

    `train/global_step`, `trainer/epoch` and `_step` are steps too, as loggers write them.
    """
    squashed = _SEPARATORS.sub("_", name.strip().rpartition("/")[2]).lower().strip("_")
    return _STEP_ORDER.index(squashed) if squashed in _STEP_ORDER else None
