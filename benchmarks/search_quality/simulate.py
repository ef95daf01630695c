"""Parallel workers on a clock that nobody waits for."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.search_quality.searcher import Params


class AskTell(Protocol):
    """What `run` needs of a searcher. The times grow by what each call took."""

    wall_s: float
    cpu_s: float

    def ask(self) -> Params: ...

    def tell(self, params: Params, loss: float) -> None: ...


Evaluate = Callable[[Params], tuple[float, float]]  # loss, and the seconds that the training would have taken


@dataclass(kw_only=True)
class Trace:
    """One run. `losses`, `finished` (virtual seconds) and `numbers` (in order of asking) are in order of completion;
    the times are in order of asking: a suggestion's own, and of what was told since the one before."""

    losses: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    ask_wall_s: list[float] = field(default_factory=list)
    ask_cpu_s: list[float] = field(default_factory=list)


def run(searcher: AskTell, evaluate: Evaluate, evaluations: int, workers: int) -> Trace:
    """`evaluations` trials, `workers` of them pending whenever that many are left.

    A result is told when its virtual training ends, and the freed worker asks at once. Of two that end together the one
    that began first is told first.
    """
    trace = Trace()
    now = 0.0
    running: list[tuple[float, int, Params, float]] = []
    while len(trace.losses) < evaluations:
        while len(running) < workers and len(trace.ask_wall_s) < evaluations:
            params = _asked(searcher, trace)
            loss, seconds = evaluate(params)
            heapq.heappush(running, (now + seconds, len(trace.ask_wall_s) - 1, params, loss))
        now, number, params, loss = heapq.heappop(running)
        searcher.tell(params, loss)
        trace.losses.append(loss)
        trace.finished.append(now)
        trace.numbers.append(number)
    return trace


def _asked(searcher: AskTell, trace: Trace) -> Params:
    params = searcher.ask()
    trace.ask_wall_s.append(searcher.wall_s)
    trace.ask_cpu_s.append(searcher.cpu_s)
    searcher.wall_s = searcher.cpu_s = 0.0
    return params
