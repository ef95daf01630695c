"""The time that a log line begins with."""

import re
from datetime import UTC, datetime

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
    date = found["date"] if "-" in found["date"] else "20" + found["date"].replace("/", "-")
    try:
        moment = datetime.fromisoformat(f"{date} {found['time']}")
        if found["zone"] == "Z":
            moment = moment.replace(tzinfo=UTC)
        elif found["zone"]:
            moment = datetime.fromisoformat(f"{date} {found['time']}{found['zone']}")
        seconds = moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds + (float(f"0.{found['part']}") if found["part"] else 0.0)
