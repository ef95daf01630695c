"""Log parsers: small state machines that read measurements out of a training's output. Standard library only."""

from collections.abc import Mapping
from typing import Any

from tuning_service.logs.base import LogParser, Reading

__all__ = ["FORMATS_FOR", "LogParser", "Reading", "build_parser", "check_pattern"]

# The formats that the logs of a framework's programs are read in, in the order in which they are tried; JSON-ready, for
# `formats` of what `build_parser` takes.
FORMATS_FOR: Mapping[str, tuple[str, ...]] = {
    "pytorch": ("json", "pairs"),
    "tensorflow": ("json", "pairs"),
    "caffe": ("json", "pairs"),
    "command": ("json", "pairs"),
}


def build_parser(spec: Mapping[str, Any]) -> LogParser:
    """A fresh parser for one training's log.

    `spec` is what a framework manager's `log_parser` gave: `formats`, in the order in which they are tried (of
    "json", "pairs"), `patterns`, the user's regular expressions, which go first, and `metrics`, the names that the job
    asks for.

    Raises:
        KeyError, ValueError: no framework manager made this.
    """
    from tuning_service.logs.composite import CompositeParser
    from tuning_service.logs.json_lines import JsonLines
    from tuning_service.logs.pairs import Pairs
    from tuning_service.logs.patterns import Patterns

    metrics = tuple(map(str, spec["metrics"]))
    makers = {"json": JsonLines, "pairs": Pairs}
    patterns = [Patterns(tuple(spec["patterns"]), metrics)] if spec["patterns"] else []
    return CompositeParser([*patterns, *(makers[name](metrics) for name in spec["formats"])], metrics)


def check_pattern(text: str) -> None:
    """Return quietly when `text` can be used as a user's log pattern.

    Raises:
        ValueError: with a message for the one who wrote it.
    """
    from tuning_service.logs.patterns import check_pattern as check

    check(text)
