"""`python -m benchmarks.throughput`: all contenders side by side in one run; `--help` tells more."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.throughput.contender import CONTENDERS
from benchmarks.throughput.process_tree import adopt_orphans, end_descendants, exit_on_sigterm
from benchmarks.throughput.report import Figures, machine_facts, summarise, table

_ROOT = Path(__file__).parents[2]
_GRACE_S = 15.0


@dataclass(kw_only=True)
class _Results:
    machine: dict[str, Any] = field(default_factory=machine_facts)
    runs: list[Figures] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_behind: dict[str, int] = field(default_factory=dict)

    def to_json(self, chosen: argparse.Namespace) -> dict[str, Any]:
        settings = ("trials", "trials_for", "slots", "warm_up", "repeats")
        return {
            "settings": {name: getattr(chosen, name) for name in settings},
            "machine": self.machine | {"load_average_after": os.getloadavg()},
            "runs": [run.to_json() for run in self.runs],
            "summary": [asdict(summary) for summary in summarise(self.runs)],
            "processes_left_behind": self.left_behind,
            "problems": self.problems,
        }


def main() -> int:
    """Run, print and write; 0 when every contender ran to its end."""
    chosen = _arguments()
    exit_on_sigterm()
    adopt_orphans()
    results = _Results()
    try:
        # Turn by turn, so that a disturbance of minutes does not fall on one contender alone.
        for turn in range(chosen.repeats):
            for name in chosen.only:
                print(f"{turn + 1}/{chosen.repeats} {name} …", end=" ", flush=True, file=sys.stderr)
                _take(name, chosen, results)
            if chosen.json:
                chosen.json.write_text(json.dumps(results.to_json(chosen), indent=2) + "\n", encoding="utf-8")
    finally:
        end_descendants(0)
    if summaries := summarise(results.runs):
        print(table(summaries))
        if chosen.plot:
            from benchmarks.throughput.plot import draw

            draw(summaries, chosen.plot)
    return 1 if results.problems else 0


def _take(name: str, chosen: argparse.Namespace, results: _Results) -> None:
    result = _run(name, chosen)
    results.left_behind[name] = results.left_behind.get(name, 0) + end_descendants(_GRACE_S)
    if isinstance(result, Figures):
        results.runs.append(result)
        print(f"{result.rate:.2f} trials/s", file=sys.stderr)
    else:
        results.problems.append(f"{name}: {result}")
        print(f"failed\n{result}", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=_describe())
    parser.add_argument("--trials", type=_positive, default=200, help="no-op trials in the timed part (%(default)s)")
    parser.add_argument("--slots", type=_positive, default=4, help="local[SLOTS], trials in parallel (%(default)s)")
    parser.add_argument("--warm-up", type=_positive, help="trials before the timed part (twice the slots)")
    parser.add_argument("--repeats", type=_positive, default=3, help="turns over all contenders (%(default)s)")
    parser.add_argument("--only", type=_names, default=list(CONTENDERS), help=f"of {','.join(CONTENDERS)}")
    parser.add_argument(
        "--trials-for",
        type=_name_and_count,
        action="append",
        default=[],
        metavar="NAME=N",
        help="another number of trials for a contender: fewer for SparkTrials, whose rate is the same for any",
    )
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds for one run (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--plot", type=Path, help="draw a PNG there (needs matplotlib)")
    chosen = parser.parse_args()
    chosen.warm_up = chosen.warm_up or 2 * chosen.slots
    chosen.trials_for = dict(chosen.trials_for)
    return chosen


def _describe() -> str:
    return "Measure no-op trials per second, each contender in a fresh process with a Spark of its own."


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(CONTENDERS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(CONTENDERS)}")
    return names


def _name_and_count(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    return _names(name)[0], _positive(count)


def _run(name: str, chosen: argparse.Namespace) -> Figures | str:
    """The figures of one run, or why there are none."""
    with tempfile.TemporaryDirectory(prefix="throughput-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        out, log = folder / "figures.json", folder / "log"
        trials = chosen.trials_for.get(name, chosen.trials)
        command = [sys.executable, "-m", "benchmarks.throughput.child", name, "--trials", str(trials)]
        command += ["--warm-up", str(chosen.warm_up), "--slots", str(chosen.slots)]
        command += ["--folder", str(folder), "--out", str(out)]
        with log.open("wb") as sink:
            try:
                subprocess.run(
                    command,
                    env=_environment(folder),
                    cwd=_ROOT,
                    stdout=sink,
                    stderr=sink,
                    timeout=chosen.timeout,
                    check=True,
                )
            except subprocess.TimeoutExpired:
                return f"not done after {chosen.timeout:.0f} s\n{_tail(log)}"
            except subprocess.CalledProcessError:
                return _tail(log)
        return Figures(**json.loads(out.read_text(encoding="utf-8")))


def _environment(folder: Path) -> dict[str, str]:
    inherited = os.environ.get("PYTHONPATH")
    return os.environ | {
        "PYTHONPATH": f"{_ROOT}{os.pathsep}{inherited}" if inherited else str(_ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": str(folder),
    }


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


if __name__ == "__main__":
    sys.exit(main())
