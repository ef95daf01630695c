"""Grok-like patterns: `loss is %{FLOAT:loss}`, translated into regular expressions."""

import re
from dataclasses import dataclass

# Repeats of numbers are bounded, so that a pattern of many numbers is still quickly found not to match.
_NUMBER = (
    r"(?:[-+]?(?:(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,5})?|nan|NaN|NAN|[iI]nf(?:inity)?|INF)(?!\w))"
)
KINDS = {
    "NUMBER": _NUMBER,
    "FLOAT": _NUMBER,
    "INT": r"(?:[-+]?\d{1,20}(?!\w))",
    "WORD": r"\w+",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
}
_USE = re.compile(r"%\{(?P<inside>[^{}]*)(?P<end>\}?)")
_INSIDE = re.compile(r"(?P<kind>\w+)(?::(?P<name>[^:]*)(?::(?:int|float))?)?")
_NAME = re.compile(r"[^\W\d][\w/@.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A regular expression, and where its parts come from."""

    regex: str
    text: str
    # Ascending: position in regex, position in text, and whether the text goes on there character by character.
    parts: tuple[tuple[int, int, bool], ...]

    def place(self, position: int) -> str:
        """Where in the text a position of the regular expression is, for people."""
        at, origin, literal = [part for part in self.parts if part[0] <= position][-1]
        return place(self.text, origin + (position - at if literal else 0))


def place(text: str, position: int) -> str:
    """A position as "line 1, column 7"."""
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def translate(text: str) -> Translation:
    """`text` with each `%{KIND}` and `%{KIND:name}` replaced; all else is a regular expression already.

    Raises:
        ValueError: with a message for the one who wrote it.
    """
    pieces: list[str] = []
    parts = [(0, 0, True)]
    length = end = 0
    for use in _USE.finditer(text):
        before = text[end : use.start()]
        piece = _piece(text, use)
        pieces += [before, piece]
        # Whatever is wrong within the translation is shown where the %{ stands.
        parts.append((length + len(before), use.start(), False))
        length += len(before) + len(piece)
        end = use.end()
        parts.append((length, end, True))
    pieces.append(text[end:])
    return Translation(regex="".join(pieces), text=text, parts=tuple(parts))


def _piece(text: str, use: re.Match[str]) -> str:
    where = place(text, use.start())
    if not use["end"]:
        raise ValueError(f"has a %{{ that no }} closes, at {where}")
    inside = _INSIDE.fullmatch(use["inside"])
    if inside is None:
        raise ValueError(f"has a %{{{use['inside']}}} at {where}: write %{{FLOAT:loss}}, a kind and a metric's name")
    if inside["kind"] not in KINDS:
        raise ValueError(f"has an unknown %{{{inside['kind']}}} at {where}: known are {', '.join(KINDS)}")
    regex = KINDS[inside["kind"]]
    name = inside["name"]
    if name is None:
        return regex
    if not _NAME.fullmatch(name):
        raise ValueError(f"has a name that is none, {name!r}, at {where}: begin it with a letter")
    return f"(?P<{re.sub(r'[^a-zA-Z0-9_]', '_', name)}>{regex})"
