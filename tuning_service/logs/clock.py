"""The time that a log line begins with."""

import re
from datetime import UTC, datetime
from functools import lru_cache

# 2026-01-02 12:30:01,123 of Python's logging, 2026-01-02T12:30:01.123+01:00, 26/01/02 12:30:01 of Spark.
_STAMP = re.compile(
    r"\W{0,3}(?P<date>\d{4}-\d\d-\d\d|\d\d/\d\d/\d\d)[ T](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,9}))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?(?![\d:])"
)


def time_of(line: str) -> float | None:
    """Unix seconds; without a zone, this machine's time is meant. None when the line begins otherwise."""
    found = _STAMP.match(line)
    if found is None:
        return None
    date, clock, part, zone = found.groups()
    seconds = _seconds(date, clock, zone)
    return seconds if seconds is None or not part else seconds + float(f"0.{part}")


@lru_cache(maxsize=64)  # many lines are printed within a second
def _seconds(date: str, clock: str, zone: str | None) -> float | None:
    date = date if "-" in date else "20" + date.replace("/", "-")
    try:
        moment = datetime.fromisoformat(f"{date} {clock}")
        if zone == "Z":
            moment = moment.replace(tzinfo=UTC)
        elif zone:
            moment = datetime.fromisoformat(f"{date} {clock}{zone}")
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
