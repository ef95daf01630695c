"""The kinds of files that measurements are read from: bytes of one growing file in, points out."""

import json
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning_service.logs import LineSplitter, LogParser, build_parser
from tuning_service.runner.merging import Point
from tuning_service.runner.tags import Tags
from tuning_service.runner.tail import Tail, open_regular
from tuning_service.runner.tensorboard import EventReader

_LONGEST_ARRAY = 32 * 2**20  # bytes of a val_dict_list.json
_REST = 10  # after a file that is read as a whole, so many times as long as that took it is left alone
_MOST_NAMES = 200


class Reader(ABC):
    """Reads one file. Raises nothing, whatever is in it."""

    def __init__(self, path: Path, *, old: bool) -> None:
        """What an `old` file holds already was there before the training, and is none of its."""
        self.trouble = ""  # what could not be read, for people
        self.names: dict[str, str] = {}  # metrics that were found, and as what
        self._tail = Tail(path, old=old)

    @property
    def identities(self) -> frozenset[tuple[int, int]]:
        """Device and inode of what is read here."""
        return self._tail.identities

    def read(self, most: int) -> tuple[list[Point], int]:
        """Points that came since, and how many bytes were read for them, about `most` at most; 0 when none came."""
        piece = self._tail.read(most)
        points = list(self._rest(ended=True)) if piece.fresh else []
        points += self._points(piece.data)
        return self._noted(points), len(piece.data)

    def finish(self, *, ended: bool) -> list[Point]:
        """What waited for more to come. `ended`: the training ended by itself, so that nothing was cut off."""
        points = self._noted(list(self._rest(ended=ended)))
        self._tail.close()
        return points

    def explain(self, metric: str) -> str:
        """What may help to understand why `metric` is not here; "" for nothing."""
        del metric
        return ""

    @abstractmethod
    def _points(self, data: bytes) -> Iterator[Point]:
        """The points that `data` completes."""

    def _rest(self, *, ended: bool) -> Iterator[Point]:
        """The points of what is not complete; reading begins anew then."""
        del ended
        return iter(())

    def _noted(self, points: list[Point]) -> list[Point]:
        for point in points:
            if len(self.names) < _MOST_NAMES:
                self.names.setdefault(point.metric, "")
        return points


class TextReader(Reader):
    """A log, read like the training's output by a parser of its own."""

    def __init__(self, path: Path, parser: Mapping[str, Any], *, old: bool) -> None:
        super().__init__(path, old=old)
        self._parser = build_parser(parser)
        self._lines = LineSplitter(LogParser.MAX_LINE)
        self._looked = False
        self._binary = False

    def _points(self, data: bytes) -> Iterator[Point]:
        if data and not self._looked:
            self._looked, self._binary = True, b"\0" in data[:4096]
            if self._binary:
                self.trouble = "is no text"
        if self._binary:
            return
        yield from self._read(self._lines.feed(data))

    def _rest(self, *, ended: bool) -> Iterator[Point]:
        # The number at the end of a line that was cut off is another number.
        if ended:
            yield from self._read(self._lines.finish())
        for reading in self._parser.finish():
            yield Point(reading.step, reading.metric, reading.value)

    def _read(self, lines: Iterator[str]) -> Iterator[Point]:
        for reading in self._parser.feed_lines(list(lines)):
            yield Point(reading.step, reading.metric, reading.value)

    def explain(self, metric: str) -> str:
        return "" if self._binary else self._parser.explain(metric)


class EvaluationReader(Reader):
    """`evaluation-metrics.txt`: JSON lines with a group, a step and values.

    Names of the group `test` stand as they are, those of others after the group's: `train_loss`.
    """

    def __init__(self, path: Path, metrics: Sequence[str], *, old: bool) -> None:
        super().__init__(path, old=old)
        self._metrics = metrics
        self._lines = LineSplitter(16 * LogParser.MAX_LINE)

    def _points(self, data: bytes) -> Iterator[Point]:
        for line in self._lines.feed(data):
            yield from self._record(line)

    def _rest(self, *, ended: bool) -> Iterator[Point]:
        del ended  # JSON that was cut off is none
        for line in self._lines.finish():
            yield from self._record(line)

    def _record(self, line: str) -> Iterator[Point]:
        record = _decoded(line)
        if not isinstance(record, dict):
            return
        group = str(record.get("grouplabel") or "test")
        values = {name: _plain(item) for name, item in _pairs(record.get("values"))}
        times = {name: _plain(item) for name, item in _pairs(record.get("etimes"))}
        entry = {_grouped(name, group): value for name, value in values.items()}
        wall = times.get("time_stamp", dict(_pairs(record.get("meta"))).get("time"))
        seconds = wall / 1000 if isinstance(wall, (int, float)) and wall > 10**11 else None  # it is in milliseconds
        for point in points_of([times | entry], self._metrics):
            if point.metric not in {"time_stamp", "timestamp"}:
                yield point._replace(wall=seconds)


class ArrayReader(Reader):
    """`val_dict_list.json`: an array of objects, each a step and values; written anew again and again.

    Of an array that is not complete, the objects that are count.
    """

    def __init__(self, path: Path, metrics: Sequence[str], *, old: bool) -> None:
        super().__init__(path, old=old)
        self._path = path
        self._metrics = metrics
        self._looked = self._signature() if old else None
        self._told: dict[tuple[int, str], float] = {}
        self._again_at = 0.0

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_ino, status.st_size, status.st_mtime_ns)

    def read(self, most: int) -> tuple[list[Point], int]:
        del most
        return self._whole() if time.monotonic() >= self._again_at else ([], 0)

    def finish(self, *, ended: bool) -> list[Point]:
        del ended
        points, _ = self._whole()
        return points + super().finish(ended=True)

    def _points(self, data: bytes) -> Iterator[Point]:
        for point in points_of(_objects(data.decode("utf-8", "replace")), self._metrics):
            key = (point.step, point.metric)
            if self._told.get(key) != point.value and not (math.isnan(point.value) and key in self._told):
                self._told[key] = point.value
                yield point

    def _whole(self) -> tuple[list[Point], int]:
        looked = self._signature()
        if looked is None or looked == self._looked:
            return [], 0
        if looked[1] > _LONGEST_ARRAY:
            self.trouble = f"is longer than {_LONGEST_ARRAY // 2**20} MiB"
            return [], 0
        begun = time.monotonic()
        descriptor = open_regular(self._path)
        if descriptor is None:
            self.trouble = "cannot be read, or is no file"
            self._looked = looked
            return [], 0
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LONGEST_ARRAY)  # it may have grown since
        points = self._noted(list(self._points(data)))
        self._looked = looked
        self._again_at = time.monotonic() + _REST * (time.monotonic() - begun)
        return points, len(data)


class EventFileReader(Reader):
    """A TensorBoard event file; the names of its folders belong to the names of its metrics."""

    def __init__(self, path: Path, folder: str, tags: Tags, *, old: bool) -> None:
        super().__init__(path, old=old)
        self._folder = folder
        self._tags = tags
        self._events = EventReader()

    def _points(self, data: bytes) -> Iterator[Point]:
        for scalar in self._events.feed(data):
            metric, likeness = self._tags.metric(self._folder, scalar.tag)
            if len(self.names) < _MOST_NAMES:
                self.names[metric] = scalar.tag
            yield Point(max(0, scalar.step), metric, scalar.value, scalar.wall, likeness)
        self.trouble = self._events.damage

    def _rest(self, *, ended: bool) -> Iterator[Point]:
        del ended
        self._events = EventReader()
        return iter(())


def _grouped(name: str, group: str) -> str:
    return name if group == "test" or name.startswith(group) else f"{group}_{name}"


def points_of(entries: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Iterator[Point]:
    """The points of objects that hold a step and values, as a JSON line with them is read."""
    parser = build_parser({"formats": ["json"], "patterns": [], "metrics": list(metrics)})
    for index, entry in enumerate(entries):
        found = {"step" if name == "steps" else name: _plain(value) for name, value in entry.items()}
        line = json.dumps({"step": index} | found if not _has_step(found) else found)
        for reading in parser.feed(line):
            yield Point(reading.step, reading.metric, reading.value)


def _has_step(found: Mapping[str, Any]) -> bool:
    return any(name in found for name in ("step", "iteration", "iter", "epoch", "global_step"))


def _objects(text: str) -> list[dict[str, Any]]:
    """The objects of an array, up to where it ends or is cut off; an object alone is an array of one."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if isinstance(value, dict):
            found.append(value)
    return found


def _decoded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _pairs(found: object) -> list[tuple[str, Any]]:
    return [(str(name), item) for name, item in found.items()] if isinstance(found, dict) else []


def _plain(item: Any) -> Any:
    """A number that is written as a text, or as `{"type": 3, "value": "0.1"}`."""
    if isinstance(item, dict) and "value" in item:
        item = item["value"]
    if not isinstance(item, str) or len(item) > 40:
        return item
    try:
        number = float(item)
    except ValueError:
        return item
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
