"""`python -m benchmarks.log_parsing`: MB/s per format and peak memory, ours beside the peers' way, in one run."""

import argparse
import json
import multiprocessing
import os
import platform
import sys
from pathlib import Path

from benchmarks.log_parsing.logs import MEASUREMENTS
from benchmarks.log_parsing.measuring import CONTENDERS, MB, measure


def main() -> None:
    """Each figure is taken in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, default=10, help="size of each log; ten logs")
    parser.add_argument("--share", type=float, default=0.02, help="measurements per line of noise")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), help="contenders")
    parser.add_argument("--logs", nargs="*", default=list(MEASUREMENTS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    machine = {"python": sys.version.split()[0], "machine": platform.machine(), "cores": os.cpu_count()}
    context = multiprocessing.get_context("spawn")
    for form in arguments.logs:
        for contender in arguments.only:
            with context.Pool(1) as pool:
                result = pool.apply(measure, (contender, form, int(arguments.mb * MB), arguments.share))
            results.append(result)
            if arguments.json:
                arguments.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
            print(f"{form:10} {contender:18} {result['mb_per_s']:7.1f} MB/s  +{result['grown_kib']:6d} KiB", flush=True)


if __name__ == "__main__":
    main()
