"""All that a training writes beside its output: files are found, followed and read, while it runs and after its end."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning_service.runner.merging import Point, Rank
from tuning_service.runner.readers import ArrayReader, EvaluationReader, EventFileReader, Reader, TextReader
from tuning_service.runner.scan import MOST_ENTRIES, Match, Scan
from tuning_service.runner.tags import Tags
from tuning_service.runner.unnamed import unnamed

MOST_FILES = 100  # that are read; as many again that were there before the training
_POLL_S = 0.25
_SCAN_S = 1.0
_SCAN_SHARE = 30  # between two searches for new files, so many times what one takes
_PIECE = 2**18  # bytes of one file at a time
_TURN_S = 0.25  # until other things are seen to
_TURN_SHARE = 4  # between two turns, so many times what one took
_LAST_READ_S = 120.0
_EVENT_FILE = "tfevents"
_SHOWN = 12

Found = list[tuple[Rank, Point]]


class Sources:
    """The files that `sources` of a plan's parser names, in any of `folders`: (how people write it, its path).

    An entry is `{"path": shell pattern, "kind": "text", "tensorboard", "val_dict_list" or "evaluation_metrics"}`;
    `{"kind": "output"}` has the place of the training's output in their order, which otherwise is the first. The order
    is that of `Rank`. Call `start` before the training starts, `poll` as often as is convenient, `rest` when it ended.
    """

    def __init__(self, parser: Mapping[str, Any], folders: Sequence[tuple[str, Path]]) -> None:
        entries = [dict(entry) for entry in parser.get("sources", ())]
        output = next((i for i, entry in enumerate(entries) if entry["kind"] == "output"), -1)
        self.output = Rank(output)
        self._parser = parser
        self._files = [(i, entry) for i, entry in enumerate(entries) if entry["kind"] != "output"]
        self._folders = folders
        self._tags = Tags(tuple(parser["metrics"]))
        self._scan = Scan([path for _, path in folders], [str(entry["path"]) for _, entry in self._files])
        self._readers: dict[Path, tuple[Rank, Reader]] = {}
        self._old: set[Path] = set()
        self._passed: set[Path] = set()  # one file under two names, or more than are read
        self._too_many = False
        self._poll_at = 0.0
        self._scan_at = 0.0
        self._turn = 0
        self._unread = False
        self._begun_ns = 0
        self._unnamed: Mapping[str, str] | None = None  # what `explain` has found

    def start(self) -> None:
        """Take note of what is there before the training: its content is not the training's."""
        self._begun_ns = time.time_ns()
        if self._files:
            self._look(old=True)

    def poll(self) -> Found:
        """What came since the last call; nothing when that was a moment ago."""
        now = time.monotonic()
        if not self._files or now < self._poll_at:
            return []
        if now >= self._scan_at:
            self._look()
            self._scan_at = time.monotonic() + max(_SCAN_S, _SCAN_SHARE * (time.monotonic() - now))
        found, _ = self._pass()
        done = time.monotonic()
        self._poll_at = done + max(_POLL_S, _TURN_SHARE * (done - now))
        return found

    def rest(self, *, ended: bool) -> Iterator[Found]:
        """All that is left, in pieces between which other things may be done. No process writes any more.

        `ended` tells that the training ended by itself: otherwise lines without an end were cut off.
        """
        if not self._files:
            return
        self._look()
        deadline = time.monotonic() + _LAST_READ_S
        while time.monotonic() < deadline:
            found, count = self._pass()
            yield found
            if not count:
                break
        else:
            self._unread = True
        yield [
            (self._ranked(rank, point), point)
            for rank, reader in self._in_order()
            for point in reader.finish(ended=ended)
        ]

    def _pass(self) -> tuple[Found, int]:
        """One turn over the files, which begins where the last one had to end; and the bytes that were read."""
        readers = self._in_order()
        found: Found = []
        read = 0
        until = time.monotonic() + _TURN_S
        for index in range(len(readers)):
            place = (self._turn + index) % len(readers)
            rank, reader = readers[place]
            points, count = reader.read(_PIECE)
            found += [(self._ranked(rank, point), point) for point in points]
            read += count
            if time.monotonic() >= until:
                self._turn = place + 1
                break
        return found, read

    def _in_order(self) -> list[tuple[Rank, Reader]]:
        return sorted(self._readers.values(), key=lambda pair: pair[0])

    @staticmethod
    def _ranked(rank: Rank, point: Point) -> Rank:
        return rank._replace(likeness=point.likeness)

    def _look(self, *, old: bool = False) -> None:
        known: set[tuple[int, int]] = set()
        for match in sorted(self._scan.matches()):
            if match.path in self._readers or match.path in self._passed:
                continue
            if not known:
                known = {identity for _, reader in self._readers.values() for identity in reader.identities}
            if self._is_known(match.path, known):
                continue
            if len(self._old if old else self._readers.keys() - self._old) >= MOST_FILES:
                self._too_many = True
                self._passed |= {match.path} if old else set()
                continue
            rank, reader = self._opened(match, old=old)
            self._readers[match.path] = (rank, reader)
            known |= reader.identities
            if old:
                self._old.add(match.path)

    @staticmethod
    def _is_known(path: Path, known: set[tuple[int, int]]) -> bool:
        """True when the file is read under another name: it was rotated, or linked."""
        try:
            status = path.stat()
        except OSError:
            return True
        return (status.st_dev, status.st_ino) in known

    def _opened(self, match: Match, *, old: bool) -> tuple[Rank, Reader]:
        source, entry = self._files[match.pattern]
        metrics = tuple(self._parser["metrics"])
        kind = entry["kind"]
        if _EVENT_FILE in match.path.name:
            folder = match.name.rpartition("/")[0]
            return Rank(source, path=folder), EventFileReader(match.path, folder, self._tags, old=old)
        rank = Rank(source, path=match.name)
        if kind == "val_dict_list" or match.path.name == "val_dict_list.json":
            return rank, ArrayReader(match.path, metrics, old=old)
        if kind == "evaluation_metrics" or match.path.name == "evaluation-metrics.txt":
            return rank, EvaluationReader(match.path, metrics, old=old)
        return rank, TextReader(match.path, self._parser, old=old)

    def explain(self, metric: str) -> str:
        """What was looked at beside the output, and which names were seen there; "" when nothing is."""
        if not self._files:
            return ""
        patterns = ", ".join(dict.fromkeys(str(entry["path"]) for _, entry in self._files))
        folders = ", ".join(name.rstrip("/") or "the working directory" for name, _ in self._folders)
        lines = [f"Files were looked for, too: {patterns}, in {folders}."]
        shown = [
            (path, reader)
            for path, (_, reader) in self._readers.items()
            if path not in self._old or reader.names or reader.trouble
        ]
        lines += [f"  {self._shown(path)}: {_seen(reader)}" for path, reader in shown[:_SHOWN]]
        if len(shown) > _SHOWN:
            lines.append(f"  and {len(shown) - _SHOWN} more")
        if not shown:
            lines.append("  None was written.")
        if self._too_many:
            lines.append(f"There were more files than the {MOST_FILES} that are read.")
        if not self._scan.complete:
            lines.append(f"There were more than {MOST_ENTRIES} files, of which the rest was not looked at.")
        if self._unread:
            lines.append(f"Reading them was given up after {_LAST_READ_S:g} s.")
        if self._unnamed is None:  # looked for once: the service hears nothing meanwhile
            places = [path for _, path in self._folders]
            self._unnamed = unnamed(self._parser, places, since_ns=self._begun_ns, read=self._readers.keys())
        if elsewhere := self._unnamed.get(metric):
            lines.append(f"{elsewhere} was written and not read, and has {metric}. This line in the job file reads it:")
            lines.append(f"  log_files: {json.dumps([elsewhere])}")
        named = [reader for path, reader in shown if isinstance(reader, TextReader) and not reader.names]
        return "\n".join([*lines, *(text for reader in named[:1] if (text := reader.explain(metric)))])

    def _shown(self, path: Path) -> str:
        for name, folder in self._folders:
            if path.is_relative_to(folder):
                return name + _printable(path.relative_to(folder).as_posix())
        return _printable(path.name)


def _printable(name: str) -> str:
    """`name`, escaped where it could not be shown on a line, or be sent: names need not be text."""
    return name if name.isprintable() else ascii(name)


def _seen(reader: Reader) -> str:
    names = [f"{name} ({tag})" if tag and tag != name else name for name, tag in reader.names.items()]
    text = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    parts = [f"gave {text}" if names else "gave no metric", reader.trouble]
    return "; ".join(part for part in parts if part)
