"""One cell, in a process of its own: a searcher on a task with a seed and a number of workers.

`python -m benchmarks.search_quality.cell` reads one JSON line, runs the cell and writes one; libraries may print what
they like, it goes to standard error.
"""

import hashlib
import json
import os
import platform
import sys
import time
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.search_quality.ours import contenders
from benchmarks.search_quality.peer_child import PeerChild
from benchmarks.search_quality.searcher import Contender, Params, Searcher, Setup
from benchmarks.search_quality.simulate import AskTell, run
from benchmarks.search_quality.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was measured under which conditions. Cells with the same key are repetitions of one another."""

    searcher: str
    task: str
    seed: int
    workers: int
    evaluations: int

    @property
    def key(self) -> str:
        """A hash of the conditions."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def searcher_seed(self) -> int:
        """Another one for each task, so that no start design is lucky or unlucky on all of them; the same for all
        searchers."""
        return zlib.crc32(f"{self.task}/{self.seed}".encode()) % 2**31


class Metered:
    """A searcher in this process, its calls timed."""

    def __init__(self, searcher: Searcher) -> None:
        self.wall_s = self.cpu_s = 0.0
        self._searcher = searcher

    def ask(self) -> Params:
        """As the searcher's."""
        with self._timed():
            return self._searcher.ask()

    def tell(self, params: Params, loss: float) -> None:
        """As the searcher's."""
        with self._timed():
            self._searcher.tell(params, loss)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


@contextmanager
def opened(contender: Contender, setup: Setup, python: str | None) -> Iterator[tuple[AskTell, dict[str, str | None]]]:
    """The searcher, in this process or behind a pipe to the interpreter `python`, and its libraries' versions."""
    if python is None:
        yield Metered(contender.build(setup)), contender.versions()
        return
    child = PeerChild(contender, setup, python)
    try:
        yield child, child.versions
    finally:
        child.close()


def measure(cell: Cell, contender: Contender, data: Path, python: str | None) -> dict[str, Any]:
    """The cell's line: its conditions, its trace, versions and machine."""
    task = Task(cell.task, data)
    setup = Setup(space=task.space, seed=cell.searcher_seed, evaluations=cell.evaluations, name=cell.searcher)
    started = time.perf_counter()
    with opened(contender, setup, python) as (searcher, versions):
        trace = run(searcher, task.evaluate, cell.evaluations, cell.workers)
    return line(cell) | {
        **{name: [round(value, 9) for value in values] for name, values in asdict(trace).items()},
        "wall_s": round(time.perf_counter() - started, 3),
        "versions": versions,
        "machine": machine(),
    }


def line(cell: Cell) -> dict[str, Any]:
    """The conditions, as every line has them."""
    return asdict(cell) | {"key": cell.key}


def machine() -> dict[str, Any]:
    """Enough to tell machines apart."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def main() -> None:
    """One question, one answer."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    question = json.loads(sys.stdin.readline())
    cell = Cell(**question["cell"])
    try:
        answer = measure(cell, contenders()[cell.searcher], Path(question["data"]), question["python"])
    except Exception:
        answer = line(cell) | {"error": traceback.format_exc()[-4000:], "machine": machine()}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
