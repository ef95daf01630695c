"""Samples what a training uses, beside following it. What goes wrong here never reaches the training."""

import logging
import time
from dataclasses import replace

from tuning_service.domain.resources import FIRST_INTERVAL_S, MOST_SAMPLES, ResourceSample, ResourceUse
from tuning_service.runner.gpus import GpuQuery
from tuning_service.runner.processes import ProcessTree

_FIRST_S = 1.0  # a training may be over before the first interval is
_LOOK_S = 0.25  # between two looks for nvidia-smi's answer
_log = logging.getLogger(__name__)


class ResourceSampler:
    """Of the training under the supervisor `root`. `poll` whenever `due_in` says so, `finish` at the end.

    The interval doubles with each MOST_SAMPLES / 2 samples after the first MOST_SAMPLES, as the service thins them.
    """

    def __init__(self, root: int, gpus: tuple[str, ...]) -> None:
        """Raises nothing; where there is no /proc, nothing will ever be due."""
        self._begun = self._sampled_at = time.monotonic()
        self._interval_s = FIRST_INTERVAL_S
        self._next_at: float | None = self._begun + _FIRST_S
        self._taken = 0
        self._cpu_s = 0.0
        self._peak: int | None = None
        self._waiting: ResourceSample | None = None  # for what nvidia-smi says
        self._gpus = GpuQuery(gpus)
        try:
            self._tree = ProcessTree(root)
        except (OSError, ValueError, IndexError) as error:
            self._give_up(error)

    def due_in(self) -> float | None:
        """Seconds until `poll` has something to do; None: never."""
        if self._next_at is None:
            return None
        due = time.monotonic() + _LOOK_S if self._gpus.pending else self._next_at
        return max(0.0, due - time.monotonic())

    def poll(self) -> ResourceUse | None:
        """What is new; None when nothing is."""
        if self._next_at is None:
            return None
        try:
            return self._poll(self._next_at)
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            self._give_up(error)
            return None

    def finish(self, peak_bytes: int | None, cpu_s: float | None) -> ResourceUse:
        """The rest, of a training that ended, with what its supervisor says of all its processes."""
        self._gpus.close()
        known = [peak for peak in (self._peak, peak_bytes) if peak is not None]
        return ResourceUse(
            samples=() if self._waiting is None else (self._waiting,),
            peak_memory_bytes=max(known, default=None),
            cpu_s=cpu_s if cpu_s is not None else self._cpu_s or None,
        )

    def _poll(self, next_at: float) -> ResourceUse | None:
        if self._waiting is not None:
            return self._answered(self._waiting)
        if time.monotonic() < next_at:
            return None
        sample = self._sample()
        self._schedule(next_at)
        self._gpus.ask()
        if not self._gpus.pending:
            return self._told(sample)
        self._waiting = sample
        return None

    def _answered(self, sample: ResourceSample) -> ResourceUse | None:
        figures = self._gpus.answer()
        if self._gpus.pending:
            return None
        self._waiting = None
        memory, used = tuple(f[0] for f in figures), tuple(f[1] for f in figures)
        return self._told(replace(sample, gpu_memory_bytes=memory, gpu_utilisation=used))

    def _told(self, sample: ResourceSample) -> ResourceUse:
        return ResourceUse(samples=(sample,), peak_memory_bytes=self._peak, cpu_s=self._cpu_s)

    def _sample(self) -> ResourceSample:
        use, now = self._tree.look(), time.monotonic()
        # A process that nobody waits for takes its share along when it ends.
        spent = max(0.0, use.cpu_s - self._cpu_s)
        cores = spent / max(now - self._sampled_at, 1e-3)
        self._cpu_s, self._sampled_at = round(self._cpu_s + spent, 3), now
        self._peak = max(self._peak or 0, use.memory_bytes)
        return ResourceSample(
            elapsed_s=round(now - self._begun, 2),
            cpu=round(cores, 3),
            memory_bytes=use.memory_bytes,
            threads=use.threads,
        )

    def _schedule(self, was_due: float) -> None:
        self._taken += 1
        if self._taken >= MOST_SAMPLES:
            self._taken //= 2
            self._interval_s *= 2
        # The first sample is out of step: the others come at whole intervals from the beginning.
        begun = was_due - _FIRST_S if was_due == self._begun + _FIRST_S else was_due
        self._next_at = max(begun + self._interval_s, time.monotonic() + self._interval_s / 2)

    def _give_up(self, error: Exception) -> None:
        _log.warning("what the training uses is not known from here on: %r", error)
        self._next_at = None
        self._gpus.close()
