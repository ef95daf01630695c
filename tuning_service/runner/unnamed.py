"""Files that a training wrote and nobody named, in which metrics are that may be missed elsewhere."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning_service.runner.readers import TextReader
from tuning_service.runner.scan import Scan

_PATTERNS = ("**/*.log", "**/*.txt", "**/*.out", "**/*.err", "**/*.json", "**/*.jsonl")
_MOST_FILES = 50
_MOST_BYTES = 2**20  # of each file
_MOST_S = 2.0  # for all of them: the service hears nothing meanwhile


def unnamed(
    parser: Mapping[str, Any], folders: Sequence[Path], *, since_ns: int, read: Collection[Path]
) -> dict[str, str]:
    """The first file that gives each metric, by its name below its folder, of those written since then but not `read`.

    Only the beginnings of files are looked at, and no more than a few seconds long.
    """
    until = time.monotonic() + _MOST_S
    given: dict[str, str] = {}
    found = (match for match in Scan(folders, _PATTERNS).matches() if match.path not in read)
    for match in sorted(match for match in found if _is_newer(match.path, since_ns))[:_MOST_FILES]:
        if time.monotonic() > until:
            break
        for metric in _names_in(match.path, parser):
            given.setdefault(metric, match.name)
    return given


def _is_newer(path: Path, since_ns: int) -> bool:
    try:
        return path.stat().st_mtime_ns > since_ns
    except OSError:
        return False


def _names_in(path: Path, parser: Mapping[str, Any]) -> Collection[str]:
    reader = TextReader(path, parser, old=False)
    reader.read(_MOST_BYTES)
    reader.finish(ended=True)
    return reader.names
