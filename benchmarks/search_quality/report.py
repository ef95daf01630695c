"""`python -m benchmarks.search_quality.report FILES…`: figures, tables and plots from results."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.search_quality.__main__ import read
from benchmarks.search_quality.ours import contenders
from benchmarks.search_quality.stats import Estimate, Results, estimate, ranks, ratio, suggestion_seconds
from benchmarks.search_quality.tasks import SCENARIOS

_AT = (25, 50, 100)


def main() -> int:
    """Write what is asked for; the table goes to standard output."""
    chosen = _arguments()
    results = Results(chain.from_iterable(read(path) for path in chosen.files))
    timing = json.loads(chosen.timing.read_text("utf-8")) if chosen.timing else None
    figures = summarise(results, chosen.searchers, chosen.workers or results.workers)
    if timing:
        figures["timing"] = timing
    if not figures["settings"]:
        print("there is no cell that all of the searchers have", file=sys.stderr)
        return 1
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, separators=(",", ":")) + "\n", "utf-8")
    if chosen.out_dir:
        from benchmarks.search_quality.plots import draw_all

        chosen.out_dir.mkdir(parents=True, exist_ok=True)
        draw_all(figures, chosen.out_dir)
    print(markdown(figures))
    return 0


def summarise(results: Results, searchers: Sequence[str] | None, workers: Iterable[int]) -> dict[str, Any]:
    """All figures, JSON-ready. A searcher that has no cell with so many workers is left out of that setting alone."""
    settings = [_setting(results, searchers, count) for count in workers]
    return {
        "settings": [setting for setting in settings if setting["groups"]],
        "parallel": _parallel(results, searchers),
        "failed": results.failed,
        "versions": _versions(results),
        "machines": sorted({_machine(line) for cells in results.cells.values() for line in cells.values()}),
    }


def _setting(results: Results, searchers: Sequence[str] | None, workers: int) -> dict[str, Any]:
    names = [name for name in results.searchers(workers) if searchers is None or name in searchers]
    groups = {}
    for scenario in ("", *SCENARIOS):
        if places := results.places(names, workers, scenario):
            groups[scenario or "all"] = _group(results, names, workers, places)
    seconds = {
        name: {
            kind: [round(float(s), 5) for s in suggestion_seconds(results.cells[name, workers].values(), kind)]
            for kind in ("wall", "cpu")
        }
        for name in names
    }
    return {"workers": workers, "groups": groups, "suggestion_s": seconds}


def _group(results: Results, names: Sequence[str], workers: int, places: Sequence[tuple[str, int]]) -> dict[str, Any]:
    curves = {name: results.regret(name, workers, places) for name in names}
    length = min(curve.shape[1] for curve in curves.values())
    rows: dict[str, dict[str, Any]] = {name: {"regret": {}, "rank": {}} for name in names}
    for evaluations in [n for n in _AT if n <= length]:
        at = [curves[name][:, evaluations - 1] for name in names]
        for name, regret, rank in zip(names, at, ranks(at), strict=True):
            rows[name]["regret"][str(evaluations)] = asdict(estimate(regret))
            rows[name]["rank"][str(evaluations)] = asdict(estimate(rank))
    for name, row in rows.items():
        row["curve"] = _curve([estimate(curves[name][:, i]) for i in range(length)])
    tasks = sorted({task for task, _ in places})
    return {"cells": len(places), "tasks": tasks, "seeds": len({seed for _, seed in places}), "searchers": rows}


def _curve(estimates: Sequence[Estimate]) -> dict[str, list[float]]:
    return {kind: [round(getattr(e, kind), 5) for e in estimates] for kind in ("mean", "low", "high")}


def _parallel(results: Results, searchers: Sequence[str] | None) -> dict[str, Any]:
    """Regret with the most workers over regret with the least, for each searcher over the cells that it has of both."""
    if len(results.workers) < 2:
        return {}
    few, many = results.workers[0], results.workers[-1]
    found: dict[str, Any] = {}
    for name in results.searchers(many):
        if (searchers is not None and name not in searchers) or (name, few) not in results.cells:
            continue
        places = sorted(set(results.places([name], few)) & set(results.places([name], many)))
        if not places:
            continue
        one, more = (results.regret(name, count, places) for count in (few, many))
        length = min(one.shape[1], more.shape[1])
        at = {str(n): asdict(ratio(more[:, n - 1], one[:, n - 1])) for n in _AT if n <= length}
        # With many workers a choice knows as many results fewer as there are more of them. What that alone costs is
        # where the same searcher with few workers was so many evaluations before.
        fewer = many - few
        late = {str(n): asdict(ratio(one[:, n - 1 - fewer], one[:, n - 1])) for n in _AT if fewer < n <= length}
        found[name] = {"workers": [few, many], "cells": len(places), "ratio": at, "delay": late}
    return found


def _versions(results: Results) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for line in chain.from_iterable(cells.values() for cells in results.cells.values()):
        for package, version in line["versions"].items():
            found.setdefault(package, set()).add(str(version))
    return {package: ", ".join(sorted(versions)) for package, versions in sorted(found.items())}


def _machine(line: Mapping[str, Any]) -> str:
    machine = line["machine"]
    return f"{machine['cpus']} CPUs, {machine['system']}, Python {machine['python']}"


def title(name: str) -> str:
    """For people; a searcher that is not known here (any more) goes by its name."""
    contender = contenders().get(name)
    return contender.title if contender else name


def is_ours(name: str) -> bool:
    """True for the service's own algorithms."""
    contender = contenders().get(name)
    return contender is not None and contender.ours


def markdown(figures: Mapping[str, Any]) -> str:
    """Tables for docs/performance.md."""
    parts = []
    for setting in figures["settings"]:
        for group, found in setting["groups"].items():
            parts.append(_table(setting["workers"], group, found, setting["suggestion_s"]))
    if figures["parallel"]:
        parts.append(_parallel_table(figures["parallel"]))
    if "timing" in figures:
        parts.append(timing_table(figures["timing"]))
    parts += [f"Failed: {where}: {why}" for where, why in figures["failed"].items()]
    return "\n\n".join(parts)


def _table(workers: int, group: str, found: Mapping[str, Any], seconds: Mapping[str, Any]) -> str:
    rows = found["searchers"]
    at = list(next(iter(rows.values()))["regret"])
    head = [f"regret at {n}" for n in at] + [f"rank at {n}" for n in at]
    scope = f"{found['cells']} cells ({len(found['tasks'])} tasks, {found['seeds']} seeds)"
    lines = [f"**{_workers(workers)}, {group}**: {scope}", "", f"| | {' | '.join(head)} | CPU s per suggestion |"]
    lines.append("|---" * (len(head) + 2) + "|")
    for name in sorted(rows, key=lambda n: rows[n]["rank"][at[-1]]["mean"] if at else 0.0):
        row = rows[name]
        cells = [_interval(row["regret"][n], 3) for n in at] + [_interval(row["rank"][n], 2) for n in at]
        cpu = seconds[name]["cpu"]
        lines.append(f"| {_name(name)} | {' | '.join(cells)} | {sum(cpu) / len(cpu):.3f} |")
    return "\n".join(lines)


def _parallel_table(parallel: Mapping[str, Any]) -> str:
    few, many = next(iter(parallel.values()))["workers"]
    at = list(next(iter(parallel.values()))["ratio"])
    heading = (
        f"**Regret with {many} workers over regret with {few}**, at equal evaluations; in place of the former, "
        f"under *delay*, regret with {few} after {many - few} evaluations fewer"
    )
    lines = [
        heading,
        "",
        f"| | {' | '.join([f'at {n}' for n in at] + [f'delay at {n}' for n in at])} | cells |",
        "|---" * (2 * len(at) + 2) + "|",
    ]
    for name, found in parallel.items():
        cells = [_interval(found[kind][n], 2) if n in found[kind] else "" for kind in ("ratio", "delay") for n in at]
        lines.append(f"| {_name(name)} | {' | '.join(cells)} | {found['cells']} |")
    return "\n".join(lines)


def timing_table(timing: Mapping[str, Any]) -> str:
    """Seconds per suggestion with so many trials behind it."""
    behind = [str(n) for n in timing["behind"]]
    lines = ["**CPU seconds per suggestion** (wall in brackets), by ended trials behind it", ""]
    lines += [f"| | {' | '.join(behind)} |", "|---" * (len(behind) + 1) + "|"]
    for name, found in timing["searchers"].items():
        cells = [_seconds(found.get(n)) for n in behind]
        lines.append(f"| {_name(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return found["problem"] if "problem" in found else f"{found['cpu_s']:.3g} ({found['wall_s']:.3g})"


def _interval(found: Mapping[str, float], digits: int) -> str:
    one = Estimate(**found)
    return f"{one.mean:.{digits}f} ({one.low:.{digits}f}–{one.high:.{digits}f})"  # noqa: RUF001


def _name(name: str) -> str:
    return f"**{title(name)}**" if is_ours(name) else title(name)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_quality.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="what benchmarks.search_quality wrote")
    parser.add_argument("--searchers", nargs="+", metavar="NAME", help="only these (all that the files have)")
    parser.add_argument("--workers", nargs="+", type=int, help="only these settings (all)")
    parser.add_argument("--timing", type=Path, help="what benchmarks.search_quality.timing wrote")
    parser.add_argument("--out-dir", type=Path, help="draw PNGs there (needs matplotlib)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
