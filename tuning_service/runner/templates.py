"""Templates: texts in which names of parameters stand for their values."""

import fnmatch
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tuning_service.domain.parameters import ParamValue

# What is never looked into: strings and comments of prototxt.
_SKIPPED = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*"
# A name is no part of a longer word, of a path or of a negative number, and not that of a field.
_ALONE = r"(?<![\w\"./-])(?P<name>{})(?![\w\"./-])(?!\s*[:{{])"
# Fields whose values are names without quotes, and a text for them must not be put in quotes.
ENUM_FIELDS = frozenset(
    {"backend", "engine", "norm", "norm_region", "normalization", "operation", "phase", "pool", "round_mode"}
    | {"share_mode", "blob_share_mode", "snapshot_format", "solver_mode", "solver_type", "variance_norm"}
)
_FIELD_BEFORE = re.compile(r"(\w+)\s*:\s*$")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ANY_WORD = re.compile(f"{_SKIPPED}|{_ALONE.format(_WORD.pattern)}")


def substitute(text: str, values: Mapping[str, ParamValue]) -> str:
    """`text` with each name of `values` replaced by its value, as JSON writes it: a text in quotes.

    Quotes are left off where a field takes the name of a choice, as in `pool: METHOD`. Names in strings, comments and
    paths stay, and so does every word that is not in `values`. Lines keep their numbers.
    """
    return "".join(piece for piece, _ in _pieces(text, values))


def placeholders(text: str, names: Collection[str]) -> list[tuple[str, int, int]]:
    """Where `names` stand in `text`, in the order of the text: name, line and column, counted from 1."""
    return [(match["name"], *place(text, match.start())) for match in _matches(text, names)]


def words(text: str) -> list[tuple[str, int]]:
    """All words of `text` that would be replaced if they were parameters, with their offsets."""
    return [(match["name"], match.start()) for match in _ANY_WORD.finditer(text) if match["name"]]


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character of `text`, counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def origin(text: str, values: Mapping[str, ParamValue], line: int, column: int) -> int:
    """The offset in `text` of what stands at `line` and `column` of `substitute(text, values)`."""
    at, source = (1, 1), 0
    for piece, length in _pieces(text, values):
        for index, character in enumerate(piece):
            if at >= (line, column):
                return source + (index if piece == text[source : source + length] else 0)
            at = (at[0] + 1, 1) if character == "\n" else (at[0], at[1] + 1)
        source += length
    return len(text)


def fill(folder: Path, patterns: Sequence[str], values: Mapping[str, ParamValue]) -> None:
    """Substitute in the files below `folder` whose relative path or name matches one of `patterns`.

    Links stay as they are. Raises OSError; UnicodeDecodeError (a ValueError) for a file that is no UTF-8.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if matches(name, patterns) and path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8")
            filled = substitute(text, values)
            if filled != text:
                path.unlink()  # a hard link of it keeps what the program brought
                path.write_text(filled, encoding="utf-8")


def matches(name: str, patterns: Collection[str]) -> bool:
    """True when the relative POSIX path `name`, or its last part, matches one of the shell patterns."""
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(last, pattern) for pattern in patterns)


def _matches(text: str, names: Collection[str]) -> Iterator["re.Match[str]"]:
    if not names:
        return
    # Longest first, so that no name is found at the beginning of another.
    ordered = sorted(names, key=lambda name: (-len(name), name))
    pattern = f"{_SKIPPED}|{_ALONE.format('|'.join(map(re.escape, ordered)))}"
    yield from (match for match in re.finditer(pattern, text) if match["name"])


def _pieces(text: str, values: Mapping[str, ParamValue]) -> Iterator[tuple[str, int]]:
    """The substituted text in pieces, each with the length of what it stands for in `text`."""
    end = 0
    for match in _matches(text, values):
        yield text[end : match.start()], match.start() - end
        yield _written(values[match["name"]], text[max(0, match.start() - 80) : match.start()]), len(match[0])
        end = match.end()
    yield text[end:], len(text) - end


def _written(value: ParamValue, before: str) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        field = _FIELD_BEFORE.search(before)
        if field and field[1] in ENUM_FIELDS:
            return value
    # Prototxt knows no surrogate pairs, by which JSON's escapes write what is beyond 16 bits.
    return json.dumps(value, ensure_ascii=False)
