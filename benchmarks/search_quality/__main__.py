"""`python -m benchmarks.search_quality`: run cells, one JSON line each; `--help` tells more."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.search_quality import environments
from benchmarks.search_quality.cell import Cell, line
from benchmarks.search_quality.ours import contenders
from benchmarks.search_quality.peer_child import ONE_THREAD
from benchmarks.search_quality.tasks import REPORTED, Reference, Task

_ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run what is not there yet; 0 when no cell failed."""
    chosen = _arguments()
    pythons = environments.available(chosen.searchers, chosen.python)
    references = {name: Task(name, chosen.data).reference(chosen.out.parent) for name in chosen.tasks}
    wanted = ordered(chosen.tasks, list(pythons), chosen.seeds, chosen.workers, chosen.evaluations)
    there = done(chosen.out)
    cells = [cell for cell in wanted if cell.key not in there]
    print(f"{len(wanted) - len(cells)} cells are there, {len(cells)} to run", file=sys.stderr)
    mend(chosen.out)
    runner = _Runner(chosen, pythons, references)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        with ThreadPoolExecutor(chosen.jobs) as pool:
            try:
                for number, answer in enumerate(pool.map(runner.run, cells), 1):
                    print(f"{number}/{len(cells)} {summary(answer)}", file=sys.stderr, flush=True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                runner.end()
    except KeyboardInterrupt:
        return 130
    return 1 if runner.failures else 0


def ordered(
    tasks: Sequence[str], searchers: Sequence[str], seeds: Iterable[int], workers: Sequence[int], evaluations: int
) -> list[Cell]:
    """Seed by seed, so that an interrupted run is balanced; within a seed in the searchers' order, cheap ones first."""
    return [
        Cell(searcher=searcher, task=task, seed=seed, workers=count, evaluations=evaluations)
        for seed in seeds
        for searcher in searchers
        for count in workers
        for task in tasks
    ]


def done(out: Path) -> set[str]:
    """Keys of the cells in `out` that did not fail."""
    return {cell["key"] for cell in read(out) if "error" not in cell} if out.exists() else set()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a results file; one that was cut short by a kill is left out."""
    with path.open(encoding="utf-8") as lines:
        for text in lines:
            try:
                yield json.loads(text)
            except json.JSONDecodeError:
                print(f"{path}: a line that is no JSON is left out", file=sys.stderr)


def mend(out: Path) -> None:
    """`out` ends with the end of a line, also when a kill cut the last one short."""
    if out.exists() and (text := out.read_bytes()) and not text.endswith(b"\n"):
        out.write_bytes(text + b"\n")


def summary(answer: Mapping[str, Any]) -> str:
    """One line for the terminal."""
    head = f"{answer['searcher']} {answer['task']} seed {answer['seed']} workers {answer['workers']}"
    if "error" in answer:
        return f"{head}: failed\n{answer['error']}"
    return f"{head}: {min(answer['losses']):.5f} in {answer['wall_s']:.1f} s"


class _Runner:
    """Cells in child processes; their lines are appended as they come."""

    def __init__(
        self, chosen: argparse.Namespace, pythons: Mapping[str, str | None], references: Mapping[str, Reference]
    ) -> None:
        self.failures = 0
        self._pythons, self._references = pythons, references
        self._data, self._timeout_s, self._out = chosen.data, chosen.timeout, chosen.out
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def run(self, cell: Cell) -> dict[str, Any]:
        """The cell's line, which is in the file then. A failure is a line too."""
        answer = self._answer(cell) | {"reference": asdict(self._references[cell.task])}
        with self._lock:
            if self._ended:
                return answer
            self.failures += "error" in answer
            with self._out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(answer) + "\n")
        return answer

    def end(self) -> None:
        """No cell runs any more; those that were cut short leave no line."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            _kill(process)

    def _answer(self, cell: Cell) -> dict[str, Any]:
        process = self._start()
        question = {"cell": asdict(cell), "data": str(self._data), "python": self._pythons[cell.searcher]}
        try:
            out, err = process.communicate(json.dumps(question) + "\n", timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            return line(cell) | {"error": f"not done after {self._timeout_s:.0f} s"}
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)
        if not out:
            return line(cell) | {"error": f"the process ended with {process.returncode}\n{err[-4000:]}"}
        answer: dict[str, Any] = json.loads(out)
        return answer

    def _start(self) -> subprocess.Popen[str]:
        inherited = os.environ.get("PYTHONPATH")
        with self._lock:
            if self._ended:
                raise RuntimeError("it was ended")
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.search_quality.cell"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # with what it starts, it can be killed as one group
                env=os.environ
                | ONE_THREAD
                | {"PYTHONPATH": f"{_ROOT}{os.pathsep}{inherited}" if inherited else str(_ROOT)},
            )
            self._running.add(process)
            return process


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it and all that it started have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _arguments() -> argparse.Namespace:
    known = contenders()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_quality",
        description="Measure how good the configurations are that each searcher finds, on surrogates of trainings. "
        f"Searchers, cheapest first: {', '.join(known)}.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the surrogates (lcbench, rbv2_xgboost)")
    parser.add_argument("--tasks", nargs="+", default=list(REPORTED), metavar="SCENARIO:ID", help="(%(default)s)")
    parser.add_argument("--searchers", nargs="+", default=[n for n in known if n != "grid"], metavar="NAME")
    parser.add_argument("--seeds", type=_seeds, default=range(10), help="how many, or FIRST:END (10)")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 8], help="trials pending at once (1 8)")
    parser.add_argument("--evaluations", type=int, default=100, help="trials in a cell (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time, one thread each (%(default)s)")
    parser.add_argument("--timeout", type=float, default=7200.0, help="seconds for one cell (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("search_quality.jsonl"), help="results (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="keep the cells that --out has, and run the others")
    environments.add_argument(parser)
    chosen = parser.parse_args()
    if chosen.out.exists() and not chosen.resume:
        parser.error(f"{chosen.out} is there: add --resume to keep its cells, or remove it")
    chosen.out = chosen.out.resolve()
    chosen.data = chosen.data.resolve()
    return chosen


def _seeds(text: str) -> range:
    first, colon, end = text.partition(":")
    return range(int(first), int(end)) if colon else range(int(text))


def _interrupted(signum: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signum)  # through the finally that ends what was started


if __name__ == "__main__":
    sys.exit(main())
