"""Figures, what they come to, and the machine they were taken on."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.throughput.contender import CONTENDERS

_PACKAGES = ("pyspark", "hyperopt", "mlflow", "optuna", "fastapi", "uvicorn", "sqlalchemy", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One timed run. `others_cpu_s`: CPU that the rest of the machine used meanwhile, a measure of disturbance."""

    contender: str
    trials: int
    wall_s: float
    cpu_s: float  # of the contender's whole process tree
    others_cpu_s: float
    cores: int

    @property
    def rate(self) -> float:
        """Trials per second of wall time."""
        return self.trials / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per trial."""
        return 1000 * self.cpu_s / self.trials

    @property
    def disturbance(self) -> float:
        """The share of the machine's CPU that went to others, 0 to 1."""
        return self.others_cpu_s / (self.cores * self.wall_s)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `Figures(**…)` of it gives them back."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All runs of one contender. `ours_times`: our median rate over its own; None where ours did not run."""

    contender: str
    runs: int
    rate: float  # median
    rate_low: float
    rate_high: float
    cpu_ms: float  # median
    cpu_ms_low: float
    cpu_ms_high: float
    disturbance: float  # median
    ours_times: float | None


def summarise(runs: Sequence[Figures]) -> list[Summary]:
    """A summary for each contender that has runs, fastest first."""
    by_name: dict[str, list[Figures]] = {}
    for run in runs:
        by_name.setdefault(run.contender, []).append(run)
    ours = median(run.rate for run in by_name["ours"]) if "ours" in by_name else None
    summaries = [_summary(name, own, ours) for name, own in by_name.items()]
    return sorted(summaries, key=lambda summary: -summary.rate)


def _summary(name: str, runs: Sequence[Figures], ours: float | None) -> Summary:
    rates, cpu = [run.rate for run in runs], [run.cpu_ms for run in runs]
    return Summary(
        contender=name,
        runs=len(runs),
        rate=median(rates),
        rate_low=min(rates),
        rate_high=max(rates),
        cpu_ms=median(cpu),
        cpu_ms_low=min(cpu),
        cpu_ms_high=max(cpu),
        disturbance=median(run.disturbance for run in runs),
        ours_times=None if ours is None else ours / median(rates),
    )


def table(summaries: Sequence[Summary]) -> str:
    """The summaries as text for a terminal."""
    lines = [f"{'':38}{'trials/s':>10}{'range':>16}{'CPU ms/trial':>14}{'range':>14}{'others':>8}{'ours is':>10}"]
    for s in summaries:
        times = "" if s.ours_times is None else f"{s.ours_times:.2f} x"
        lines.append(
            f"{CONTENDERS[s.contender].title:38}{s.rate:>10.2f}{f'{s.rate_low:.2f}-{s.rate_high:.2f}':>16}"
            f"{s.cpu_ms:>14.0f}{f'{s.cpu_ms_low:.0f}-{s.cpu_ms_high:.0f}':>14}"
            f"{s.disturbance:>8.0%}{times:>10}"
        )
    return "\n".join(lines)


def machine_facts() -> dict[str, Any]:
    """What a reader must know to compare figures, as of now."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "load_average": os.getloadavg(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "java": _first_line(["java", "-version"]),
        "commit": _first_line(["git", "rev-parse", "HEAD"]),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.splitlines()[0] if done.stdout else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
