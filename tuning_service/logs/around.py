"""What stands on a line around its values: steps, and labels of what was measured."""

import re
from collections.abc import Iterator, Sequence

from tuning_service.logs.marks import as_step
from tuning_service.logs.names import SPLITS, step_rank

_STEP = re.compile(
    r"""(?<![\w/.-])(?P<word>global[_ ]step|epoch|step|iteration|iter)
        (?:(?<=h)\((?:train|val|test)\))?  # Epoch(val) [3] of MMEngine
        (?:["']?[ ]{0,4}[=:\#]?[ ]{0,8}[\[(]?[ ]{0,8}) (?<=[ =:\#\[(])
        (?P<count>\d{1,15})(?P<fraction>\.\d+)?
        (?:[ ]?(?:/|of[ ])[ ]?(?P<total>\d{1,15}))?(?![\w/]|,\d)""",
    re.VERBOSE | re.IGNORECASE,
)
# What stands before a step not its line's: `best epoch: 3`, `since epoch 3`, `best: 0.3 at epoch 3`, `max epoch 3`.
_ASIDE = re.compile(
    r"""(?<![^\W_])(?:(?:best|since|from|total|max|num)[ ]
        | best[ :=][^,;|!\d]{0,40}[-+]?[\d.]{1,20}(?:e[-+]?\d{1,3})?%?[ ]?[\[(]?[ ]?(?:(?:at|in|on|from|@)[ ])?)\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_BEFORE = 80  # characters of a line in which that is looked for
# `Validation: loss=0.4`, `[val] loss: 0.4`, `test | loss: 0.4`: what the values after it were measured on.
_LABEL = re.compile(
    rf"""(?<![\w./-])(?P<split>{"|".join(SPLITS)})
         (?:[ _](?:set|epoch|step|phase|data|results?|metrics?|stats|summary|error|split)){{0,2}}
         (?:[ ]?[\[(\#]?\d{{1,9}}(?:/\d{{1,9}})?[\])]?)?
         [ ]?(?:[:\])|>] | -{{1,3}}[ ] | =>|,[ ])(?![ ]{{0,8}}[-+]?[.\d])""",
    re.VERBOSE | re.IGNORECASE,
)
_MOST_ROUNDS = 16
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
    return next((step for _, _, step, _ in reversed(list(_steps(text)))), None)


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


class Steps:
    """The steps that the lines of one process name.

    Steps of a total, such as `step 40/100`, begin anew in each epoch. Of lines that name the epoch, too, that is the
    step; without it, these steps go on from the last round's total.
    """

    def __init__(self) -> None:
        self._epochs = 0  # lines that named one
        self._rounds: dict[tuple[str, int], tuple[int, int, int]] = {}  # word, total -> last step, epochs, steps before

    def of(self, line: str) -> list[tuple[int, float]]:
        """Where steps begin to hold on the line, and which."""
        return [(at, self._going_on(word, step, total)) for at, word, step, total in _steps(line)]

    def _going_on(self, word: str, step: float, total: int) -> float:
        if word == "epoch":
            self._epochs += 1
            return step
        key, count = (word, total), int(step)
        if not total or (key not in self._rounds and len(self._rounds) >= _MOST_ROUNDS):
            return step
        last, epochs, before = self._rounds.get(key, (-1, self._epochs, 0))
        if count < last or (count == last and epochs != self._epochs):
            before += total
        self._rounds[key] = count, self._epochs, before
        known = as_step(before + step)
        return step if known is None else known


def _steps(line: str) -> Iterator[tuple[int, str, float, int]]:
    """Place, word, number and total (0 without one) of each step that counts on the line."""
    found = [match for match in _STEP.finditer(line) if not _is_aside(line, match.start())]
    has_epoch = any(match["word"].lower() == "epoch" for match in found)
    best: int | None = None
    for match in found:
        word = match["word"].lower()
        rank = step_rank(word)
        step = as_step(float(match["count"]))
        if rank is None or step is None:
            continue
        if has_epoch and match["total"] and word != "epoch":
            continue
        # Side by side, the finer one counts; the same word again begins a new part of the line.
        if best is None or rank <= best:
            best = rank
            yield match.start(), word, step, int(match["total"] or 0)


def _is_aside(line: str, at: int) -> bool:
    # argparse's settings, which many programs print first: `Namespace(epoch=100, lr=0.1)`.
    return _ASIDE.search(line[max(0, at - _BEFORE) : at]) is not None or "Namespace(" in line[:at]
