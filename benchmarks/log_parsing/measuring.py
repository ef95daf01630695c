"""One figure: a log, read in one way."""

import re
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.log_parsing.logs import generate
from tuning_service.logs import FORMATS_FOR, LineSplitter, LogParser, build_parser

MB = 10**6
# Katib's metrics collector, default filter of StdOut (it runs in Go there).
_KATIB = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)")
# As an estimator's metric_definitions name them: each is searched for in each line.
_LIST = [
    re.compile(pattern)
    for pattern in (
        r"loss: ([0-9\.]+)", r"val_loss: ([0-9\.]+)", r"accuracy: ([0-9\.]+)", r"val_accuracy: ([0-9\.]+)",
        r"loss=([0-9\.]+)", r"Test.*Accuracy: .*\((.*)%\)",
    )
]  # fmt: skip


def ours(framework: str) -> Callable[[Sequence[str]], object]:
    """All formats of a framework, with a metric wanted as in a job."""
    parser = build_parser({"formats": FORMATS_FOR[framework], "patterns": [], "metrics": ["val_loss"]})
    return parser.feed_lines


def _each(read: Callable[[str], object]) -> Callable[[Sequence[str]], object]:
    """What reads each line by itself, as its own program does."""
    return lambda lines: [read(line) for line in lines]


# What reads the lines that one piece of a log completes.
CONTENDERS: dict[str, Callable[[], Callable[[Sequence[str]], object]]] = {
    "ours: command": lambda: ours("command"),
    "ours: pytorch": lambda: ours("pytorch"),
    "ours: tensorflow": lambda: ours("tensorflow"),
    "ours: caffe": lambda: ours("caffe"),
    "katib's regex": lambda: _each(_KATIB.findall),
    "six regexes": lambda: _each(lambda line: [pattern.search(line) for pattern in _LIST]),
}


def measure(contender: str, form: str, size: int, share: float) -> dict[str, Any]:
    """CPU seconds of splitting and reading a log, generated piece by piece, and the memory that it came to."""
    read = CONTENDERS[contender]()
    splitter = LineSplitter(LogParser.MAX_LINE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu_s, made, lines = 0.0, 0, 0
    for piece in generate(form, size, share):
        made += len(piece)
        begun = time.process_time()
        found = list(splitter.feed(piece))
        read(found)
        lines += len(found)
        cpu_s += time.process_time() - begun
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "contender": contender,
        "log": form,
        "share": share,
        "bytes": made,
        "lines": lines,
        "mb_per_s": round(made / MB / cpu_s, 1),
        "cpu_s": round(cpu_s, 3),
        "grown_kib": grown,
    }
