"""Log lines in the form that glog gives Caffe's, so that whatever reads the one reads the other."""

import os
import sys
from datetime import UTC, datetime


def _line(level: str, source: str, message: str) -> None:
    now = datetime.now(UTC).astimezone()
    sys.stderr.write(f"{level}{now:%m%d %H:%M:%S.%f} {os.getpid():5d} {source}] {message}\n")
    sys.stderr.flush()


def info(source: str, message: str) -> None:
    """`source` is the file and line of Caffe 1.0 that prints the like: readers of logs may look at it."""
    _line("I", source, message)


def warning(source: str, message: str) -> None:
    """What the user may want to change; training goes on."""
    _line("W", source, message)


def fatal(source: str, message: str) -> None:
    """The last line of a training that cannot go on. Unlike glog's, it does not end the process by itself."""
    _line("F", source, f"Check failed: {message}")


def number(value: float) -> str:
    """As a C++ stream prints it: six significant digits."""
    return f"{value:g}"
