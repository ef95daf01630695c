"""Files that a training wrote and nobody named, in which a metric is that was missed elsewhere."""

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


def unnamed_with(
    metric: str, parser: Mapping[str, Any], folders: Sequence[Path], *, since_ns: int, read: Collection[Path]
) -> str:
    """The name, below its folder, of the first file written since then and not among `read` that gives `metric`.

    "" when there is none. Only the beginnings of files are looked at, and no more than a few seconds long.
    """
    until = time.monotonic() + _MOST_S
    found = sorted(match for match in Scan(folders, _PATTERNS).matches() if match.path not in read)
    for match in found[:_MOST_FILES]:
        if time.monotonic() > until:
            break
        try:
            is_new = match.path.stat().st_mtime_ns > since_ns
        except OSError:
            continue
        if is_new and metric in _names_in(match.path, parser):
            return match.name
    return ""


def _names_in(path: Path, parser: Mapping[str, Any]) -> Collection[str]:
    reader = TextReader(path, parser, old=False)
    reader.read(_MOST_BYTES)
    reader.finish(ended=True)
    return reader.names
