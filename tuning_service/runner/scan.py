"""Which files below a few folders match shell patterns: looked up again and again while a training writes."""

import fnmatch
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

MOST_ENTRIES = 20_000
_PASSED_OVER = frozenset({"__pycache__", "node_modules"})


class Match(NamedTuple):
    """A file that a pattern matches: `pattern` is its index, `path` where the file is, `name` that below its folder."""

    pattern: int
    path: Path
    name: str


class Scan:
    """Finds files by patterns in which `*` is anything within a name and `**` any folders.

    Folders whose names begin with a dot are passed over, and so are links to folders unless a pattern without `*`
    leads through one. A pass looks at 20,000 entries at most, those nearest to the top first.
    """

    def __init__(self, folders: Sequence[Path], patterns: Sequence[str]) -> None:
        self.complete = True  # False when the last pass did not see everything
        self._folders = folders
        self._plain = [(i, p) for i, p in enumerate(patterns) if not _has_magic(p)]
        # Of most files, the name alone says that they match nothing.
        self._names = _any_of([p.rstrip("/").rpartition("/")[2] for p in patterns if _has_magic(p)])
        self._magic = [(i, _Pattern(p)) for i, p in enumerate(patterns) if _has_magic(p)]
        self._deep = any("**" in p for p in patterns)
        self._depth = max((p.count("/") for p in patterns), default=0)

    def matches(self) -> Iterator[Match]:
        """One for each file, of the first pattern that it matches."""
        seen: set[Path] = set()
        for index, pattern in self._plain:
            for folder in self._folders:
                path = folder / pattern
                if path not in seen and path.is_file():
                    seen.add(path)
                    earlier = (i for i, magic in self._magic if i < index and magic.matches(pattern))
                    yield Match(next(earlier, index), path, pattern)
        self.complete = True
        if not self._magic:
            return
        for path, name in self._files():
            if path in seen:
                continue
            found = next((i for i, pattern in self._magic if pattern.matches(name)), None)
            if found is not None:
                seen.add(path)
                yield Match(found, path, name)

    def _files(self) -> Iterator[tuple[Path, str]]:
        waiting = deque((folder, "", 0) for folder in self._folders)
        looked = 0
        while waiting:
            folder, name, depth = waiting.popleft()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        looked += 1
                        if looked > MOST_ENTRIES:
                            self.complete = False
                            return
                        if entry.is_dir(follow_symlinks=False):
                            if self._enters(entry.name, depth):
                                waiting.append((Path(entry.path), f"{name}{entry.name}/", depth + 1))
                        elif self._names.match(entry.name) and entry.is_file():
                            yield Path(entry.path), name + entry.name
            except OSError:  # it went away
                continue

    def _enters(self, name: str, depth: int) -> bool:
        return (self._deep or depth < self._depth) and not name.startswith(".") and name not in _PASSED_OVER


def _has_magic(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(name) for name in names))


class _Pattern:
    """One shell pattern over relative POSIX paths. Takes time in proportion to the lengths of both."""

    def __init__(self, text: str) -> None:
        parts = [part for part in text.split("/") if part not in {"", "."}]
        self._parts = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]

    def matches(self, name: str) -> bool:
        *folders, file = name.split("/")
        last = self._parts[-1]
        if last is not None and not last.match(file):
            return False
        # Where in the pattern one may be after so many folders.
        places = {0}
        for word in [*folders, file]:
            places = {further for place in self._skipping(places) for further in self._after(place, word)}
        return len(self._parts) in self._skipping(places)

    def _skipping(self, places: set[int]) -> set[int]:
        """With those behind a `**` that stands for no folder at all."""
        found = set(places)
        for place in sorted(places):
            at = place
            while at < len(self._parts) and self._parts[at] is None:
                at += 1
                found.add(at)
        return found

    def _after(self, place: int, word: str) -> Iterator[int]:
        if place >= len(self._parts):
            return
        part = self._parts[place]
        if part is None:
            yield place
        elif part.match(word):
            yield place + 1
