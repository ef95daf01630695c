"""One training from its start to its end: its output is read, its measurements are reported, decisions are obeyed."""

import contextlib
import math
import os
import select
import time
from collections.abc import Iterable

from tuning_service.domain.resources import ResourceUse
from tuning_service.domain.state import Decision
from tuning_service.domain.trial import LaunchPlan, Measurement, Outcome
from tuning_service.logs import LineSplitter, LogParser, build_parser
from tuning_service.logs.base import Reading
from tuning_service.runner.merging import Merger, Point, Rank
from tuning_service.runner.oom import oom_kills
from tuning_service.runner.reporter import Reporter
from tuning_service.runner.resources import ResourceSampler
from tuning_service.runner.service import Gone
from tuning_service.runner.sources import Sources
from tuning_service.runner.training import Exit, Training
from tuning_service.runner.verdict import Training as Ended
from tuning_service.runner.verdict import judge

_CHUNK = 64 * 1024
_SIGNALLED = 128  # a shell's exit code says so when what it ran was ended by a signal


class Follower:
    """Follows one training. One thread, one loop: output, files, end, and what the reporter has to do."""

    def __init__(self, plan: LaunchPlan, reporter: Reporter, sources: Sources, *, gpus: tuple[str, ...]) -> None:
        """`sources` were started: what they find from now on is the training's."""
        self._plan = plan
        self._reporter = reporter
        self._sources = sources
        self._merger = Merger(plan.parser["metrics"], self._measure, self._withdraw)
        self._parser = build_parser(plan.parser)
        self._lines = LineSplitter(LogParser.MAX_LINE)
        self._begun = time.monotonic()
        self._begun_at = time.time()
        self._gpus = gpus
        self._oom_kills = oom_kills()
        self._decision = Decision.CONTINUE
        self._used = ResourceUse()
        self._seen: set[str] = set()
        self._finite: set[str] = set()

    def follow(self, training: Training) -> tuple[Outcome, Exit]:
        """How it ended; nothing of it is left then.

        Raises:
            Gone: the service has given it up; nothing of it is left either.
        """
        self._begun, self._begun_at = time.monotonic(), time.time()
        sampler = ResourceSampler(training.parent, self._gpus)
        gone: Gone | None = None
        killed = False
        poller = select.poll()
        output, control = training.output, training.control.fileno()
        poller.register(output, select.POLLIN)
        poller.register(control, select.POLLIN)
        while True:
            # Once it is being killed, its end is all that is waited for.
            timeout_ms = None if killed else math.ceil(self._due_in(sampler) * 1000)
            ready = {descriptor for descriptor, _ in poller.poll(timeout_ms)}
            if output in ready:
                data = os.read(output, _CHUNK)
                if data:
                    self._take(data)
                else:
                    poller.unregister(output)  # it may close its output and go on
            if control in ready:
                break
            if killed:
                continue
            self._merge(self._sources.poll())
            if use := sampler.poll():
                self._reporter.used(use)
            try:
                self._reporter.pump()
            except Gone as error:
                gone = error
            self._decision = self._reporter.decision
            if gone is not None or self._decision is not Decision.CONTINUE:
                training.kill()
                killed = True
        end = training.read_exit()
        self._used = sampler.finish(end.peak_bytes, end.cpu_s)
        self._reporter.used(self._used)
        by_itself = end.code is not None and 0 <= end.code < _SIGNALLED and not end.timed_out
        self._drain(output, ended=by_itself)
        if gone is not None:
            raise gone
        self._read_files(ended=by_itself)
        return self._outcome(end), end

    def _due_in(self, sampler: ResourceSampler) -> float:
        sample = sampler.due_in()
        return self._reporter.due_in() if sample is None else min(self._reporter.due_in(), sample)

    def _take(self, data: bytes) -> None:
        self._reporter.log.feed(data)
        self._printed(self._parser.feed_lines(list(self._lines.feed(data))))

    def _drain(self, output: int, *, ended: bool) -> None:
        """What is left of the output. Of a training that was killed, a last line without an end was cut off."""
        os.set_blocking(output, False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(output, _CHUNK):
                self._take(data)
        lines = list(self._lines.finish())
        cut_off = lines.pop() if lines and not ended else ""
        self._printed(self._parser.feed_lines(lines))
        self._printed(self._parser.finish(cut_off))

    def _printed(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            self._merger.take(self._sources.output, Point(reading.step, reading.metric, reading.value))

    def _read_files(self, *, ended: bool) -> None:
        """What the training left in files. Raises Gone."""
        for found in self._sources.rest(ended=ended):
            self._merge(found)
            # Much may be left; silence would be taken for a loss.
            self._reporter.pump()

    def _merge(self, found: Iterable[tuple[Rank, Point]]) -> None:
        for rank, point in found:
            self._merger.take(rank, point)

    def _measure(self, point: Point) -> None:
        metric, value = point.metric, point.value
        if metric in self._plan.required:
            self._seen.add(metric)
            if math.isfinite(value):
                self._finite.add(metric)
        elapsed_s = time.monotonic() - self._begun
        if point.wall is not None:
            elapsed_s = min(max(0.0, point.wall - self._begun_at), elapsed_s)
        self._reporter.measure(Measurement(step=point.step, metric=metric, value=value, elapsed_s=round(elapsed_s, 4)))

    def _withdraw(self, metric: str) -> None:
        self._finite.discard(metric)
        self._reporter.withdraw(metric)

    def _explain(self, metric: str) -> str:
        return "\n".join(filter(None, [self._parser.explain(metric), self._sources.explain(metric)]))

    def _outcome(self, end: Exit) -> Outcome:
        return judge(
            Ended(
                exit=end,
                decision=self._decision,
                missing=tuple(m for m in self._plan.required if m not in self._seen),
                never_finite=tuple(m for m in self._plan.required if m in self._seen - self._finite),
                explain=self._explain,
                log_tail=self._reporter.log.tail(),
                elapsed_s=round(time.monotonic() - self._begun, 4),
                time_limit_s=self._plan.time_limit_s,
                has_gpus=bool(self._gpus),
                oom_killed=oom_kills() > self._oom_kills,
                peak_memory_bytes=self._used.peak_memory_bytes,
            )
        )
