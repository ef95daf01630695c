"""How values are written for people: Jinja filters. What JavaScript writes of the same kind, it writes alike."""

import math
from datetime import UTC, datetime
from typing import Any

import orjson
from markupsafe import Markup, escape

DASH, MINUS = "\u2013", "\u2212"


def number(value: Any, digits: int = 5) -> str:
    """A measured value, rounded to `digits` significant ones; a dash when there is none."""
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "∞", "-inf": f"{MINUS}∞"}[str(value)]
    text = f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e+")
    return text.replace("-", MINUS)


def exact(value: Any) -> Markup:
    """The same with the exact value on hover."""
    if not isinstance(value, float) or not math.isfinite(value):
        return escape(number(value))
    return Markup('<data value="{0}" title="{0}">{1}</data>').format(repr(value), number(value))


def duration(seconds: float | None) -> str:
    """A time span in its two largest units."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, small, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def moment(seconds: float | None) -> Markup:
    """A time in UTC; the browser writes it in the reader's own time zone."""
    if seconds is None:
        return escape(DASH)
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}" data-moment>{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M UTC")
    )


def size(count: float | None) -> str:
    """Bytes in binary units."""
    if count is None:
        return DASH
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def money(value: float | None) -> str:
    """An amount in the operator's unit of price."""
    return DASH if value is None else f"{value:,.2f}" if value >= 0.01 or value == 0 else f"{value:.1g}"


def json_text(value: Any) -> str:
    """JSON for a `<script type="application/json">`, which nothing in it can end."""
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704


FILTERS = {
    "number": number,
    "exact": exact,
    "duration": duration,
    "moment": moment,
    "size": size,
    "money": money,
    "json_text": json_text,
}
