"""What an execution uses of its executor, over time: few samples, however long it runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MOST_SAMPLES = 240
FIRST_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSample:
    """Of the training with all processes that it started, and of its GPUs, in the order in which it has them.

    `cpu` is a mean since the sample before. A GPU's figures are the whole GPU's, whoever shares it; None: not known.
    """

    elapsed_s: float  # since the training process began
    cpu: float  # cores in use
    memory_bytes: int  # resident
    threads: int = 0
    gpu_memory_bytes: tuple[int | None, ...] = ()
    gpu_utilisation: tuple[float | None, ...] = ()  # 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceUse:
    """What is new of an execution: samples since the last time, and what it has come to so far; None: not known."""

    samples: tuple[ResourceSample, ...] = ()
    peak_memory_bytes: int | None = None
    cpu_s: float | None = None


def thinned(samples: Sequence[ResourceSample]) -> list[ResourceSample]:
    """The samples; MOST_SAMPLES and more come down to half as many, each standing for two.

    Memory is the greater of the two, so that peaks stay; CPU and GPU utilisation are the mean over both intervals.
    """
    found = list(samples)
    while len(found) >= MOST_SAMPLES:
        begin, halved = 0.0, []
        for first, second in zip(found[::2], found[1::2], strict=False):
            halved.append(_merged(begin, first, second))
            begin = second.elapsed_s
        found = halved + found[len(found) - len(found) % 2 :]
    return found


def _merged(begin: float, first: ResourceSample, second: ResourceSample) -> ResourceSample:
    spans = first.elapsed_s - begin, second.elapsed_s - first.elapsed_s
    gpus = range(max(len(first.gpu_memory_bytes), len(second.gpu_memory_bytes)))
    return ResourceSample(
        elapsed_s=second.elapsed_s,
        cpu=round(_mean(spans, (first.cpu, second.cpu)) or 0.0, 3),
        memory_bytes=max(first.memory_bytes, second.memory_bytes),
        threads=max(first.threads, second.threads),
        gpu_memory_bytes=tuple(
            greatest(_at(sample.gpu_memory_bytes, gpu) for sample in (first, second)) for gpu in gpus
        ),
        gpu_utilisation=tuple(
            _mean(spans, (_at(first.gpu_utilisation, gpu), _at(second.gpu_utilisation, gpu))) for gpu in gpus
        ),
    )


def greatest(values: Iterable[int | None]) -> int | None:
    """Of those that are known; None without any."""
    return max((value for value in values if value is not None), default=None)


def _at(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _mean(spans: Sequence[float], values: Sequence[float | None]) -> float | None:
    known = [(max(span, 1e-9), value) for span, value in zip(spans, values, strict=True) if value is not None]
    if not known:
        return None
    return round(sum(span * value for span, value in known) / sum(span for span, _ in known), 4)
