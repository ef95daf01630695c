"""Log parsers: small state machines that read measurements out of a training's output. Standard library only."""

from collections.abc import Mapping
from typing import Any

from tuning_service.logs.base import Found, LogParser, Reading
from tuning_service.logs.lines import LineSplitter
from tuning_service.logs.marks import Format

__all__ = ["FORMATS_FOR", "Found", "LineSplitter", "LogParser", "Reading", "build_parser", "check_pattern"]

# The formats that the logs of a framework's programs are read in, in the order in which they are tried; JSON-ready, for
# `formats` of what `build_parser` takes.
FORMATS_FOR: Mapping[str, tuple[str, ...]] = {
    "pytorch": ("json", "elog", "bars", "keras", "dicts", "lightning", "pytorch", "pairs"),
    "tensorflow": ("json", "elog", "bars", "keras", "dicts", "estimator", "pairs"),
    "caffe": ("json", "elog", "bars", "caffe", "pairs"),
    "command": ("json", "elog", "bars", "keras", "dicts", "lightning", "pytorch", "estimator", "caffe", "pairs"),
}


def build_parser(spec: Mapping[str, Any]) -> LogParser:
    """A fresh parser for one training's log.

    `spec` is what a framework manager's `log_parser` gave: `formats`, names of formats in the order in which they are
    tried, `patterns`, the user's own, which go first, and `metrics`, the names that the job asks for.

    Raises:
        KeyError, ValueError: no framework manager made this.
    """
    from tuning_service.logs.engine import EngineParser
    from tuning_service.logs.formats import makers
    from tuning_service.logs.patterns import Patterns

    metrics = tuple(map(str, spec["metrics"]))
    patterns = tuple(map(str, spec["patterns"]))
    known = makers()
    chosen = [known[name] for name in spec["formats"]]

    def formats() -> list[Format]:
        own: list[Format] = [Patterns(patterns, metrics)] if patterns else []
        return own + [make(metrics) for make in chosen]

    return EngineParser(formats, metrics)


def check_pattern(text: str) -> None:
    """Return quietly when `text` can be used as a user's log pattern.

    Raises:
        ValueError: with a message for the one who wrote it.
    """
    from tuning_service.logs.patterns import check_pattern as check

    check(text)
