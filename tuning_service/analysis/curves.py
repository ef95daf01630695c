"""Learning curves: reduced once when their executions have ended, then down-sampled for each answer."""

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tuning_service.analysis.lttb import lttb, thinned
from tuning_service.analysis.numbers import Places, Vector, amount, reported, rounded, sentences, spread, whole
from tuning_service.analysis.table import TrialTable
from tuning_service.domain.texts import counted

Along = Literal["step", "time"]

KEPT = 256  # points of a reduced curve
TOTAL_POINTS = 12_000  # in one answer, which they keep below 300 KB
_FEWEST = 8  # points of a curve, below which it shows nothing
MOST_CURVES = TOTAL_POINTS // _FEWEST
_FLAGGED = 10  # how many of the best are flagged
_UNITS = 200  # of an axis: smoothing counts along it in these
_HEADER = struct.Struct("<qqq")
_DIGITS = 5


@dataclass(frozen=True)
class Curve:
    """One execution's measurements of one metric, whole or reduced.

    `points` (3, n): step, seconds, value, by step. `means` (3, m): the same, averaged over equal pieces. `count` is
    how many measurements there were; None when they were sampled, not read.
    """

    points: Vector
    means: Vector
    count: int | None

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.points.nbytes + self.means.nbytes + 200

    @classmethod
    def whole(cls, points: Vector) -> "Curve":
        """Of all measurements (3, n), nothing left out."""
        return cls(points=points, means=points, count=points.shape[1])

    @classmethod
    def sampled(cls, points: Vector) -> "Curve":
        """Of some measurements (3, n)."""
        return cls(points=points, means=points, count=None)

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads."""
        header = _HEADER.pack(self.count or 0, self.points.shape[1], self.means.shape[1])
        return header + self.points.astype("<f8").tobytes() + self.means.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Curve":
        """The curve that `to_bytes` wrote."""
        count, points, means = _HEADER.unpack_from(data)
        numbers = np.frombuffer(data, dtype="<f8", offset=_HEADER.size)
        return cls(
            points=numbers[: 3 * points].reshape(3, points),
            means=numbers[3 * points : 3 * (points + means)].reshape(3, means),
            count=count,
        )


def reduced(points: Vector) -> Curve:
    """The curve of (3, n) measurements by step, in 256 points at most of either kind."""
    count = points.shape[1]
    if count <= KEPT:
        return Curve.whole(points)
    chosen = thinned(points[0], points[2], KEPT)
    return Curve(points=points[:, chosen].copy(), means=_pieces(points), count=count)


def _pieces(points: Vector) -> Vector:
    """Means over equal pieces; of a piece without a finite value, NaN."""
    starts = np.linspace(0, points.shape[1], KEPT + 1).astype(np.intp)[:-1]
    lengths = np.diff(np.append(starts, points.shape[1]))
    finite = np.isfinite(points[2])
    known = np.add.reduceat(finite.astype(float), starts)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        values = np.add.reduceat(np.where(finite, points[2], 0.0), starts) / known
    return np.stack(
        [np.add.reduceat(points[0], starts) / lengths, np.add.reduceat(points[1], starts) / lengths, values]
    )


def smoothed(x: Vector, y: Vector, weight: float, extent: float, count: int) -> Vector:
    """(n,) exponential moving average along `x`, NaN and inf as they were.

    From one value to the next the old one's weight is `weight` to the power of their distance, in units of 1/200 of
    `extent` (the chart's axis), or of the curve's mean spacing where its `count` measurements lie further apart: so
    a curve of few points is averaged point by point, and one of many as strongly as it looks.
    """
    finite = np.flatnonzero(np.isfinite(y))
    result = y.copy()
    if weight <= 0 or len(finite) < 2:
        return result
    xs = x[finite]
    unit = max(extent / _UNITS, float(xs[-1] - xs[0]) / max(1, count - 1))
    if unit <= 0:
        return result
    keeps = (weight ** (np.diff(xs) / unit)).tolist()
    values = y[finite].tolist()
    last = values[0]
    for place, keep in enumerate(keeps, start=1):
        last = keep * last + (1 - keep) * values[place]
        values[place] = last
    result[finite] = values
    return result


@dataclass(frozen=True)
class Selection:
    """Which trials are shown, by place in the table, by number; which of them are flagged as the best."""

    places: Places
    best: frozenset[int]  # places
    note: str


def select(table: TrialTable, wanted: str | Sequence[int]) -> Selection:
    """Trials that began, `wanted` as "all", "best:20" or their numbers."""
    ranked = table.ranked()
    began = np.array([row.started_at is not None for row in table.rows], dtype=bool)
    if isinstance(wanted, str) and wanted.startswith("best:"):
        most = int(wanted.removeprefix("best:"))
        return Selection(np.sort(ranked[: min(most, MOST_CURVES)]), frozenset(ranked[:_FLAGGED].tolist()), "")
    places = np.flatnonzero(began)
    if not isinstance(wanted, str):
        places = places[np.isin(table.numbers[places], list(wanted))]
    best = ranked[np.isin(ranked, places)]
    note = ""
    if len(places) > MOST_CURVES:
        first = best[: MOST_CURVES // 10]
        others = np.setdiff1d(places, first)
        shown = others[spread(len(others), MOST_CURVES - len(first))]
        note = f"{amount(MOST_CURVES)} of {amount(len(places))} trials are shown: the best of them, the others evenly."
        places = np.sort(np.concatenate([first, shown]))
    return Selection(places, frozenset(best[:_FLAGGED].tolist()), note)


def curves(
    table: TrialTable, selection: Selection, known: dict[int, Curve], *, points: int, along: Along, smooth: float
) -> dict[str, Any]:
    """The curves of the selected trials, `known` by the trials' numbers, each in few points."""
    shown = [int(p) for p in selection.places if table.rows[p].number in known]
    found = [known[table.rows[p].number] for p in shown]
    lines = _lines(found, along, smooth)
    flagged = [place in selection.best for place in shown]
    share_best, share = _shares(len(shown), sum(flagged), points)
    lines = _downsampled(lines, [share_best if best else share for best in flagged])
    total = sum(len(x) for x, _ in lines)
    digits = 17 if len(lines) == 1 else _DIGITS  # one is looked at closely
    listed = [
        {
            "trial": table.rows[place].number,
            "best": best,
            "x": whole(x if along == "step" else x.round(2)),
            "y": reported(rounded(y, digits) if digits < 17 else y),
        }
        for place, best, (x, y) in zip(shown, flagged, lines, strict=True)
    ]
    counts = [curve.count for curve in found]
    return {
        "x": along,
        "smooth": smooth,
        "curves": listed,
        "points_per_curve": share,
        "points_per_best_curve": share_best,
        "total_points": total,
        "total_measurements": None if None in counts else sum(c for c in counts if c is not None),
        "method": _method(smooth),
        "note": sentences(selection.note, _missing(table, selection, len(shown)), _sampled(counts)),
    }


def _lines(found: Sequence[Curve], along: Along, smooth: float) -> list[tuple[Vector, Vector]]:
    row = 0 if along == "step" else 1
    if smooth <= 0:
        return [(curve.points[row], curve.points[2]) for curve in found]
    ends = [(curve.means[row].min(), curve.means[row].max()) for curve in found if curve.means.shape[1]]
    extent = float(max(e[1] for e in ends) - min(e[0] for e in ends)) if ends else 0.0
    return [
        (c.means[row], smoothed(c.means[row], c.means[2], smooth, extent, c.count or c.means.shape[1])) for c in found
    ]


def _shares(curves: int, flagged: int, points: int) -> tuple[int, int]:
    """Points of a flagged curve, and of another: the best are seen in detail when not all can be."""
    if curves * points <= TOTAL_POINTS:
        return points, points
    others = max(1, curves - flagged)
    best = min(points, max(_FEWEST, TOTAL_POINTS // 5 // max(1, flagged)))
    return best, min(points, max(_FEWEST, (TOTAL_POINTS - best * flagged) // others))


def _downsampled(lines: list[tuple[Vector, Vector]], shares: list[int]) -> list[tuple[Vector, Vector]]:
    """Each line in as many points as its share. Those of equal length without gaps are worked on together."""
    result = list(lines)
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, ((x, y), share) in enumerate(zip(lines, shares, strict=True)):
        if len(x) <= share:
            continue
        if np.isfinite(y).all():
            alike[len(x), share].append(place)
        else:
            chosen = thinned(x, y, share)
            result[place] = x[chosen], y[chosen]
    for (_, share), places in alike.items():
        xs, ys = np.stack([lines[p][0] for p in places]), np.stack([lines[p][1] for p in places])
        for place, chosen in zip(places, lttb(xs, ys, share), strict=True):
            result[place] = lines[place][0][chosen], lines[place][1][chosen]
    return result


def _method(smooth: float) -> str:
    method = (
        "Largest triangle three buckets (LTTB): of each stretch of a curve the point that stands out most is shown."
        f" A curve of more than {KEPT} measurements was reduced to {KEPT} in the same way before."
    )
    if smooth <= 0:
        return method
    return (
        f"An exponential moving average with weight {smooth:g}, over means of {KEPT} equal pieces where a curve has"
        f" more measurements than that; then {method[0].lower()}{method[1:]}"
    )


def _missing(table: TrialTable, selection: Selection, shown: int) -> str:
    missing = len(selection.places) - shown
    if shown:
        return f"{counted(missing, 'trial')} measured nothing of this metric." if missing else ""
    if not len(selection.places):
        return "There are no trials yet." if not len(table) else "None of these trials has begun."
    return "No trial has measured this metric."


def _sampled(counts: Sequence[int | None]) -> str:
    sampled = sum(count is None for count in counts)
    if not sampled:
        return ""
    return f"Shown by samples at equal steps until reduced: {counted(sampled, 'long curve')}. Ask again."
