"""One run of one contender, in a process of its own: `python -m benchmarks.throughput.child NAME ...`."""

import argparse
import json
import os
import time
from pathlib import Path

from benchmarks.throughput.contender import CONTENDERS
from benchmarks.throughput.process_tree import adopt_orphans, machine_busy_s, tree_cpu_s
from benchmarks.throughput.report import Figures


def measure(name: str, trials: int, warm_up: int, slots: int, folder: Path) -> Figures:
    """Figures of `trials` trials, after `warm_up` trials that are not counted.

    Raises:
        RuntimeError: not every trial ended with a loss.
    """
    adopt_orphans()
    with CONTENDERS[name].load()(slots, folder) as run:
        run(warm_up)
        busy, cpu, started = machine_busy_s(), tree_cpu_s(os.getpid()), time.perf_counter()
        completed = run(trials)
        wall_s = time.perf_counter() - started
        cpu_s = tree_cpu_s(os.getpid()) - cpu
        others_cpu_s = max(0.0, machine_busy_s() - busy - cpu_s)
    if completed != trials:
        raise RuntimeError(f"{completed} of {trials} trials ended with a loss")
    return Figures(
        contender=name,
        trials=trials,
        wall_s=wall_s,
        cpu_s=cpu_s,
        others_cpu_s=others_cpu_s,
        cores=len(os.sched_getaffinity(0)),
    )


def main() -> None:
    """Write the figures to the file asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=CONTENDERS)
    for option in ("--trials", "--warm-up", "--slots"):
        parser.add_argument(option, type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    figures = measure(chosen.name, chosen.trials, chosen.warm_up, chosen.slots, chosen.folder)
    chosen.out.write_text(json.dumps(figures.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
