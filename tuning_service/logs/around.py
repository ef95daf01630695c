"""What stands on a line around its values: steps, and labels of what was measured."""

import re
from collections.abc import Iterator, Sequence

from tuning_service.logs.marks import as_step
from tuning_service.logs.names import SPLITS, step_rank

_STEP = re.compile(
    r"""(?<![\w/.-])(?P<word>global[_ ]step|epoch|step|iteration|iter)
        (?:["']?[ ]{0,4}[=:\#]?[ ]{0,8}[\[(]?[ ]{0,8}) (?<=[ =:\#\[(])
        (?P<count>\d{1,15})(?P<fraction>\.\d+)?
        (?P<total>[ ]?(?:/|of[ ])[ ]?\d{1,15})?(?![\w/]|,\d)""",
    re.VERBOSE | re.IGNORECASE,
)
# `Validation: loss=0.4`, `[val] loss: 0.4`, `test | loss: 0.4`: what the values after it were measured on.
_LABEL = re.compile(
    rf"""(?<![\w./-])(?P<split>{"|".join(SPLITS)})
         (?:[ _](?:set|epoch|step|phase|data|results?|metrics?|stats|summary|error|split)){{0,2}}
         (?:[ ]?[\[(\#]?\d{{1,9}}(?:/\d{{1,9}})?[\])]?)?
         [ ]?(?:[:\])|>] | -{{1,3}}[ ] | =>|,[ ])(?![ ]{{0,8}}[-+]?[.\d])""",
    re.VERBOSE | re.IGNORECASE,
)
# `val Loss: 0.4 Acc: 0.9 | train Loss: …`: where a name with its split begins, or what one said of the split ends.
_OWNED = re.compile(
    rf"""[|;] | (?<![^\W_])(?:{"|".join(SPLITS)})(?![^\W_])(?P<named>[ ][^\W\d_]\w{{0,60}}[ ]?[:=])?""",
    re.VERBOSE | re.IGNORECASE,
)


def before_object(text: str) -> tuple[float | None, str | None]:
    """Step and split that `text` gives to the object behind it: `Epoch 3 val: {"loss": 0.4}`."""
    text = text.rstrip(" :=")
    if not text:
        return None, None
    labels = labels_in(f"{text}:", text.lower())
    return step_in(text), labels[-1][1] if labels else None


def step_in(text: str) -> float | None:
    """The step that `text` names last, and so the finest."""
    low = text.lower()
    if not ("epoch" in low or "step" in low or "iter" in low):
        return None
    return next((step for _, step in reversed(list(steps_in(text)))), None)


def labels_in(line: str, low: str) -> list[tuple[int, str]]:
    """Where labels end, and of which split they are. `low` is the line in lower case."""
    if not ("train" in low or "val" in low or "test" in low):
        return []
    return [(match.end(), SPLITS[match["split"].lower()]) for match in _LABEL.finditer(line)]


def inherited(line: str, places: Sequence[int]) -> list[str | None]:
    """For each of the ascending `places`, the split of a name such as `val Loss` before it that may hold there, too.

    It does up to the next | or ; and as far as no other word for a split stands between.
    """
    bounds = [(match.start(), match["named"] and match[0]) for match in _OWNED.finditer(line)]
    splits: list[str | None] = []
    for place in places:
        owner = next((words for at, words in reversed(bounds) if at < place), None)
        splits.append(SPLITS[owner.split(" ")[0].lower()] if owner else None)
    return splits


def steps_in(line: str) -> Iterator[tuple[int, float]]:
    """Where steps begin to hold, and which. `Epoch 3 step 40/100` is epoch 3: its steps begin anew in each epoch."""
    found = list(_STEP.finditer(line))
    has_epoch = any(match["word"].lower() == "epoch" for match in found)
    best: int | None = None
    for match in found:
        rank = step_rank(match["word"])
        step = as_step(float(match["count"]))
        if rank is None or step is None:
            continue
        is_epoch = match["word"].lower() == "epoch"
        if has_epoch and match["total"] and not is_epoch:
            continue
        # Side by side, the finer one counts; the same word again begins a new part of the line.
        if best is None or rank <= best:
            best = rank
            yield match.start(), step
