"""`python -m benchmarks.throughput.growth`: what a trial costs late in a long job, beside early in it.

A job of many no-op trials runs in the service, started by its command. After each part of the job: the CPU per trial of
the service's process, of the child that holds the algorithm, and of the whole tree. Beside it the same algorithm alone,
asked and told in a loop as the job asks it. At the end the service is killed and started anew: how long until the
next trial of the job ends?
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.throughput.ours import SEED, Service, member, noop_job
from benchmarks.throughput.process_tree import (
    adopt_orphans,
    command_of,
    end_descendants,
    exit_on_sigterm,
    family,
    tree_cpu_s,
)
from benchmarks.throughput.report import machine_facts
from tuning_service.client import TuningClient

_ROOT = Path(__file__).parents[2]
_PROGRAM = Path(__file__).parent / "seven"
_SPACE = {name: {"type": "float", "min": 0.0, "max": 1.0} for name in "abcdefg"}
_CHILD = "tuning_service.search.child"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_STALLED_S = 120.0  # longer than a start of the service and of Spark


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Counters at one moment; CPU in seconds since the start."""

    trials: int  # completed so far
    at_s: float
    service_cpu_s: float
    algorithm_cpu_s: float
    tree_cpu_s: float
    service_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Between two readings; CPU in milliseconds per trial."""

    first: int
    last: int
    trials_per_s: float
    service_ms: float
    algorithm_ms: float
    alone_ms: float  # the algorithm by itself, for as many suggestions with as many trials behind
    everything_ms: float  # Spark and the trainings included
    service_mib: float  # at the end of the part


def main() -> int:
    """Run, print and write; 0 when all trials of all jobs completed."""
    chosen = _arguments()
    if chosen.alone:
        print(json.dumps(alone(chosen.alone, chosen.trials, chosen.part, chosen.slots)))
        return 0
    exit_on_sigterm()
    adopt_orphans()
    report: dict[str, Any] = {"slots": chosen.slots, "machine": machine_facts(), "jobs": {}}
    try:
        for name in chosen.algorithms:
            print(f"{name} …", file=sys.stderr, flush=True)
            report["jobs"][name] = measure(name, chosen.trials, chosen.part, chosen.slots)
            if chosen.json:
                chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    finally:
        end_descendants(0)
    print(table(report["jobs"]))
    return 0


def measure(algorithm: str, trials: int, part: int, slots: int) -> dict[str, Any]:
    """Parts of a job with `trials` trials, and the seconds that a kill costs with none and with all of them behind.

    Raises:
        RuntimeError: the job ended in another state than "completed", or with fewer trials.
        TimeoutError: no trial completed for two minutes.
    """
    command = [sys.executable, "-m", "benchmarks.throughput.growth", "--alone", algorithm]
    command += ["--trials", str(trials), "--part", str(part), "--slots", str(slots)]
    done = subprocess.run(command, cwd=_ROOT, env=os.environ | _ONE_THREAD, stdout=subprocess.PIPE, check=True)
    by_itself = json.loads(done.stdout)
    with tempfile.TemporaryDirectory(prefix="growth-", ignore_cleanup_errors=True) as folder:
        service = Service(slots, Path(folder), Path(folder, "log"))
        try:
            client = member(service)
            spare = 50 * slots  # trials that are left to run after the kill
            short = client.submit(noop_job("seven.py", _SPACE, algorithm, spare, slots), program=_PROGRAM)["id"]
            _until(client, short, slots)
            early_s = _killed(service, client, short)
            client.wait(short, poll_s=0.2)
            job = client.submit(noop_job("seven.py", _SPACE, algorithm, trials + spare, slots), program=_PROGRAM)["id"]
            readings = list(_readings(service, client, job, trials, part))
            late_s = _killed(service, client, job)
            ended = client.wait(job, poll_s=0.2)
            if ended["status"] != "completed" or ended["progress"]["completed"] != trials + spare:
                raise RuntimeError(f"the job is {ended['status']}: {ended['progress']}")
        finally:
            service.stop()
    end_descendants(15.0)
    return {
        "parts": [asdict(p) for p in parts(readings, by_itself)],
        "after_kill_s": {f"{slots} trials behind": early_s, f"{trials} trials behind": late_s},
    }


def alone(algorithm: str, trials: int, part: int, slots: int) -> list[float]:
    """CPU milliseconds per suggestion in each part; `slots` trials are pending, and the oldest ends first."""
    from benchmarks.search_quality.ours import Ours
    from benchmarks.search_quality.searcher import Setup

    searcher = Ours(Setup(space=_SPACE, seed=SEED, evaluations=trials, name=algorithm))
    pending = deque(searcher.ask() for _ in range(slots))
    found = []
    for _ in range(trials // part):
        before = time.process_time()
        for _ in range(part):
            params = pending.popleft()
            loss = sum((place / 8 - float(value)) ** 2 for place, value in enumerate(params.values(), 1))
            searcher.tell(params, loss)
            pending.append(searcher.ask())
        found.append(1000 * (time.process_time() - before) / part)
    return found


def table(jobs: dict[str, Any]) -> str:
    """What was measured, as text for a terminal."""
    columns = ("trials/s", "service ms", "algorithm ms", "alone ms", "all ms", "service MiB")
    lines = ["CPU in milliseconds per trial", f"{'':26}" + "".join(f"{column:>14}" for column in columns)]
    for name, job in jobs.items():
        for p in (Part(**part) for part in job["parts"]):
            figures = (p.trials_per_s, p.service_ms, p.algorithm_ms, p.alone_ms, p.everything_ms, p.service_mib)
            lines.append(f"{name:>10} {p.first:>6} - {p.last:<6}" + "".join(f"{f:>14.1f}" for f in figures))
        waits = (f"{seconds:.1f} s ({behind})" for behind, seconds in job["after_kill_s"].items())
        lines.append(f"{'':11}from a kill to the next trial's end: {', '.join(waits)}")
    return "\n".join(lines)


def _until(client: TuningClient, job: str, trials: int) -> int:
    """How many trials completed, once at least `trials` have."""
    most, deadline = -1, 0.0
    while True:
        seen = client.job(job)
        completed = int(seen["progress"]["completed"])
        if completed >= trials:
            return completed
        if seen["status"] in ("failed", "stopped", "completed"):
            raise RuntimeError(f"the job is {seen['status']} after {completed} trials: {seen.get('reason')}")
        if completed > most:
            most, deadline = completed, time.monotonic() + _STALLED_S
        elif time.monotonic() > deadline:
            raise TimeoutError(f"no trial completed for {_STALLED_S:.0f} s after {completed} of them")
        time.sleep(0.1)


def _killed(service: Service, client: TuningClient, job: str) -> float:
    """The service is killed and started anew; seconds until another trial of the job has completed."""
    completed = int(client.job(job)["progress"]["completed"])
    started = time.monotonic()
    service.kill()
    service.start()
    _until(client, job, completed + 1)
    return time.monotonic() - started


def _readings(service: Service, client: TuningClient, job: str, trials: int, part: int) -> Iterator[Reading]:
    for at_least in range(0, trials + 1, part):
        yield _read(service, _until(client, job, at_least))
        if sys.stderr.isatty():
            print(f"{at_least} of {trials}", end="\r", file=sys.stderr, flush=True)


def _read(service: Service, trials: int) -> Reading:
    own = family(service.pid)
    return Reading(
        trials=trials,
        at_s=time.monotonic(),
        service_cpu_s=own[service.pid].own_cpu_s,
        algorithm_cpu_s=sum(stat.own_cpu_s for pid, stat in own.items() if _CHILD in command_of(pid)),
        tree_cpu_s=tree_cpu_s(os.getpid()),
        service_mib=_resident_mib(service.pid),
    )


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def parts(readings: Sequence[Reading], alone_ms: Sequence[float]) -> Iterator[Part]:
    """What lies between each two readings; `alone_ms` has one figure for each of these."""
    for (before, after), by_itself in zip(pairwise(readings), alone_ms, strict=True):
        trials = after.trials - before.trials
        yield Part(
            first=before.trials,
            last=after.trials,
            trials_per_s=trials / (after.at_s - before.at_s),
            service_ms=1000 * (after.service_cpu_s - before.service_cpu_s) / trials,
            algorithm_ms=1000 * (after.algorithm_cpu_s - before.algorithm_cpu_s) / trials,
            alone_ms=by_itself,
            everything_ms=1000 * (after.tree_cpu_s - before.tree_cpu_s) / trials,
            service_mib=after.service_mib,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput.growth", description=__doc__)
    parser.add_argument("--algorithms", nargs="+", default=["random", "auto"], metavar="NAME")
    parser.add_argument("--trials", type=int, default=10_000, help="of the long job (%(default)s)")
    parser.add_argument("--part", type=int, default=1000, help="trials between two readings (%(default)s)")
    parser.add_argument("--slots", type=int, default=4, help="local[SLOTS], trials in parallel (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--alone", metavar="NAME", help="only the algorithm by itself: a part of the whole")
    chosen = parser.parse_args()
    if chosen.part < 1 or chosen.trials < chosen.part or chosen.trials % chosen.part:
        parser.error("--trials must be a multiple of --part")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
