"""From TensorBoard's tags and folders to names of metrics.

| folder       | tag                | metric                                             | written by          |
|--------------|--------------------|----------------------------------------------------|---------------------|
| `train`      | epoch_loss         | loss                                               | Keras' callback     |
| `validation` | epoch_loss         | val_loss, as Keras prints it                       | the same            |
| any          | val/loss, Loss/val | as the tag, or val_loss when the job asks for that | torch, tf.summary   |
| `eval`       | loss               | eval_loss                                          | estimators          |
| `Loss_val`   | Loss               | Loss/val                                           | torch's add_scalars |
"""

import re
from collections.abc import Sequence

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "eval": "eval",
    "evaluation": "eval",
}
_LONGEST_NAME = 100
_VAL = frozenset({"valid", "validation"})


class Tags:
    """Names the metrics of one job's event files."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self._exact = frozenset(metrics)
        self._joined = {_joined(name): name for name in reversed(metrics)}
        self._words = {words: name for name in reversed(metrics) if (words := _words(name))}
        self._known: dict[tuple[str, str], tuple[str, int]] = {}

    def metric(self, folder: str, tag: str) -> tuple[str, int]:
        """The metric that `tag` in an event file in `folder` is, and how far the name is from the tag's: 0 the same.

        A metric that the job names is recognised whatever stands between its words, and in whichever order these are.
        """
        key = (folder, tag)
        if key not in self._known:
            if len(self._known) >= 10_000:
                self._known.clear()
            self._known[key] = self._named(candidates(folder, tag))
        return self._known[key]

    def _named(self, names: Sequence[str]) -> tuple[str, int]:
        for name in names:
            if name in self._exact:
                return name, 0
        for name in names:
            if wanted := self._joined.get(_joined(name)):
                return wanted, 1
        for name in names:
            if wanted := self._words.get(_words(name)):
                return wanted, 2
        return _tidy(names[0]), 0


def candidates(folder: str, tag: str) -> list[str]:
    """Names for the tag, the likeliest first."""
    leaf = folder.rpartition("/")[2]
    stem = tag.replace("/", "_")
    if leaf.startswith(f"{stem}_"):
        return [f"{tag}/{leaf[len(stem) + 1 :]}"]
    split = _SPLITS.get(leaf.lower())
    if split is None:
        return [tag]
    base = tag.removeprefix("epoch_") if split in {"train", "val"} else tag
    named = base if split in _words(base) else f"{split}_{base}"
    return [base, named] if split == "train" else [named]


def _joined(name: str) -> str:
    """A name without the differences that are forgiven in logs, too: case, and what stands between words."""
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()


def _tidy(name: str) -> str:
    short = re.sub(r"\s+", "_", name.strip())[:_LONGEST_NAME]
    return "".join(c if c.isprintable() else "_" for c in short)


def _words(name: str) -> frozenset[str]:
    """The words of a name. That a value is an epoch's says nothing of what it measures."""
    words = {"val" if word in _VAL else word for word in re.split(r"[\W_]+", name.lower()) if word}
    return frozenset(words - {"epoch"} or words)
