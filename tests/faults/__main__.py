"""Runs the suite: `python -m tests.faults --help`."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.faults import plan
from tests.faults.suite import Suite

_END_S = 130  # what jobs, once no further fault comes, need to end and to be checked


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Faults, and whether anything is lost.")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FAULTS_SEED", "1")))
    parser.add_argument("--faults", type=int, default=int(os.environ.get("FAULTS_COUNT", "100")))
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("FAULTS_MINUTES", "20")))
    parser.add_argument("--kinds", default="", help="comma-separated; all without")
    parser.add_argument("--report", type=Path, default=Path("build/faults.json"))
    parser.add_argument("--folder", type=Path, help="keep logs and records here")
    options = parser.parse_args()
    # Some find nothing to happen to: the disk where it cannot be filled, an executor while there is none.
    planned = options.faults + options.faults // 4
    faults = plan(options.seed, planned, *([options.kinds.split(",")] if options.kinds else []))
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + 60 * options.minutes - _END_S
        suite = Suite(folder, faults, seed=options.seed, trials=8, deadline=deadline, enough=options.faults)
        try:
            report = suite.run()
        finally:
            options.report.parent.mkdir(parents=True, exist_ok=True)
            options.report.write_text(json.dumps(suite.report, indent=1, default=str) + "\n")
    happened = sum(fault["happened"] for fault in report["faults"])
    print(f"{happened} faults, {report['jobs']} jobs, {report['trials']} trials: {len(report['problems'])} problems.")
    for problem in report["problems"]:
        print(problem)
    return bool(report["problems"])


if __name__ == "__main__":
    sys.exit(main())
