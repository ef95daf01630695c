"""`python -m benchmarks.search_quality.timing`: seconds per suggestion with many trials behind it."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.search_quality import environments
from benchmarks.search_quality.cell import machine
from benchmarks.search_quality.ours import contenders
from benchmarks.search_quality.peer_child import PeerChild, PeerFailed, PeerTooSlow
from benchmarks.search_quality.report import timing_table
from benchmarks.search_quality.searcher import Contender, Params, Setup
from benchmarks.search_quality.tasks import Task

_BEHIND = (50, 200, 1000, 5000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of each searcher. `history` is as long as the longest of `behind`."""

    task: Task
    history: Sequence[tuple[Params, float]]
    behind: Sequence[int]
    suggestions: int
    cap_s: float


def main() -> int:
    """Measure, print and write; what is in --out already stays, unless it is measured again."""
    chosen = _arguments()
    pythons = environments.available(chosen.searchers, chosen.python)
    task = Task(chosen.task, chosen.data)
    plan = Plan(
        task=task,
        history=random_history(task, max(chosen.behind), seed=0),
        behind=chosen.behind,
        suggestions=chosen.suggestions,
        cap_s=chosen.cap,
    )
    report: dict[str, Any] = {"searchers": {}}
    if chosen.out and chosen.out.exists():
        report = json.loads(chosen.out.read_text("utf-8"))
    report |= {"behind": list(chosen.behind), "task": chosen.task, "cap_s": chosen.cap, "machine": machine()}
    for name, python in pythons.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        report["searchers"][name] = measure(contenders()[name], python or sys.executable, plan)
        if chosen.out:
            chosen.out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(timing_table(report))
    return 0


def random_history(task: Task, count: int, seed: int) -> list[tuple[Params, float]]:
    """Random configurations of `task` and their losses."""
    uniform = contenders()["random"].build(Setup(space=task.space, seed=seed, evaluations=count))
    configurations = [uniform.ask() for _ in range(count)]
    return list(zip(configurations, map(float, task.query(configurations)[0]), strict=True))


def measure(contender: Contender, python: str, plan: Plan) -> dict[str, dict[str, Any]]:
    """Medians for each number of trials behind, in a fresh process each; nothing is waited for beyond the cap.

    Once it was too slow with so many trials, it is not asked with more.
    """
    found: dict[str, dict[str, Any]] = {}
    for behind in plan.behind:
        try:
            found[str(behind)] = _medians(contender, python, plan, behind)
        except PeerTooSlow:
            problem = f"over {plan.cap_s:.0f} s"
            return found | {str(n): {"problem": problem} for n in plan.behind if n >= behind}
        except PeerFailed as error:
            found[str(behind)] = {"problem": "failed", "detail": str(error)}
    return found


def _medians(contender: Contender, python: str, plan: Plan, behind: int) -> dict[str, Any]:
    """A suggestion is an `ask` and the `tell` after it, since some libraries do their work in the one or the other."""
    setup = Setup(space=plan.task.space, seed=0, evaluations=max(100, behind + plan.suggestions), name=contender.name)
    wall, cpu = [], []
    child = PeerChild(contender, setup, python)
    try:
        child.learn(plan.history[:behind], plan.cap_s)
        learn_s = child.cpu_s
        for _ in range(plan.suggestions):
            child.wall_s = child.cpu_s = 0.0
            params = child.ask(plan.cap_s)
            child.tell(params, plan.task.evaluate(params)[0], plan.cap_s)
            wall.append(child.wall_s)
            cpu.append(child.cpu_s)
    finally:
        child.close()
    return {
        "wall_s": median(wall),
        "cpu_s": median(cpu),
        "mean_cpu_s": mean(cpu),
        "first_cpu_s": cpu[0],
        "learn_cpu_s": learn_s,
    }


def _arguments() -> argparse.Namespace:
    known = contenders()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_quality.timing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the surrogates (lcbench, rbv2_xgboost)")
    parser.add_argument("--task", default="lcbench:7593", help="whose random configurations are told (%(default)s)")
    parser.add_argument("--searchers", nargs="+", default=[n for n in known if n != "grid"], metavar="NAME")
    parser.add_argument("--behind", nargs="+", type=int, default=_BEHIND, help="trials behind (50 200 1000 5000)")
    parser.add_argument("--suggestions", type=int, default=5, help="of which the median is taken (%(default)s)")
    parser.add_argument("--cap", type=float, default=60.0, help="seconds that one answer may take (%(default)s)")
    parser.add_argument("--out", type=Path, help="JSON, renewed after each searcher")
    environments.add_argument(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
