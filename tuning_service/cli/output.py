"""What commands print: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tuning_service.domain.texts import counted

if TYPE_CHECKING:
    from tuning_service.client import TuningClient

JsonDict = dict[str, Any]
_COLOURS = {"completed": "green", "succeeded": "green", "failed": "red", "running": "cyan", "stopped": "yellow"}


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    # Non-finite numbers come as strings from the service, so that what is printed is always JSON.
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201


def say(text: str) -> None:
    """A line on standard output, as it is."""
    print(text)  # noqa: T201


def hint(text: str) -> None:
    """A line for people only, on standard error, so that standard output stays clean."""
    print(text, file=sys.stderr)  # noqa: T201


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A table, or the text `empty` when there are no rows."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    cells = [[cell(value) for value in row] for row in rows]
    if not cells:
        hint(empty)
        return
    # A column in which nobody has anything, reasons mostly, only makes the others narrow.
    told = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    for index in told:
        made.add_column(columns[index], overflow="fold", no_wrap=columns[index] in {"id", "job"})
    for row in cells:
        made.add_row(*(_coloured(escape(row[index])) for index in told))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=1000)  # lines in a pipe are not to be folded
    console.print(made)


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text)
    return f"[{colour}]{text}[/{colour}]" if colour else text


def cell(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return " ".join(f"{name}={cell(item)}" for name, item in value.items() if item is not None)
    if isinstance(value, list):
        return f"[{', '.join(map(cell, value))}]"
    return str(value)


def when(text: str | None) -> str:
    """A time of the service's as local time."""
    return "-" if text is None else datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress_text(progress: JsonDict) -> str:
    """A job's counts in one line."""
    parts = [f"{progress['done']}/{progress['total']} trials", f"{progress['running']} running"]
    parts.append(f"{progress['failed']} failed")
    if progress["best_value"] is not None:
        kind = "best" if progress["best_feasible"] else "beyond the limits, at best"
        parts.append(f"{kind} {cell(progress['best_value'])} (trial {progress['best_trial']})")
    if progress["front_size"] is not None:
        parts.append(f"{progress['front_size']} on the front")
    if progress["seconds_left"] is not None:
        parts.append(f"{duration(progress['seconds_left'])} left")
    return " · ".join(parts)


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, aligned."""
    for name, value in pairs:
        lines = cell(value).splitlines() or [""]
        say(f"{name:<14}{lines[0]}".rstrip())
        for line in lines[1:]:
            say(f"{'':<14}{line}")


def watch(client: "TuningClient", job_id: str, *, quiet: bool) -> JsonDict:
    """The job once it has ended. Until then a live line on standard error; plain lines where that is no terminal."""
    if quiet:
        return client.wait(job_id)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=16), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("waiting for the first trials", total=None)

        def show(job: JsonDict) -> None:
            text = progress_text(job["progress"])
            if job["reason"] and job["status"] in {"created", "running"}:
                text += f" · {job['reason']}"  # what it waits for
            if console.is_terminal:
                bar.update(task, total=job["progress"]["total"], completed=job["progress"]["done"], description=text)
            else:
                hint(f"{job['status']}: {text}")

        return client.wait(job_id, on_change=show)


def objectives(spec: JsonDict) -> list[JsonDict]:
    """A job's objectives, of which its file may name one without a list."""
    written = spec["objective"]
    return written if isinstance(written, list) else [written]


def show_best(best: JsonDict, spec: JsonDict) -> None:
    """The best configuration, parameter by parameter; and the best by the model, where that is another."""
    trial, model = best["by_observation"], best["by_model"]
    if trial is None:
        hint("No trial has completed.")
        return
    if best["note"]:
        say(best["note"])
    metric = objectives(spec)[0]["metric"]
    differ = model is not None and model["trial"]["number"] != trial["number"]
    by = " by observation" if differ else ""
    say(f"Best configuration{by} (trial {trial['number']}, {metric} {cell(trial['value'])}):")
    _show_params(trial)
    if differ:
        expected, seen = cell(model["expected"]), cell(model["trial"]["value"])
        say(
            "Best configuration by model, which allows for noise"
            f" (trial {model['trial']['number']}, {metric} {expected} expected, {seen} observed):"
        )
        _show_params(model["trial"])


def _show_params(trial: JsonDict) -> None:
    for name, value in trial["params"].items():
        say(f"  {name:<16}{cell(value)}")


def show_front(front: JsonDict, spec: JsonDict) -> None:
    """The Pareto front as a table."""
    names = [objective["metric"] for objective in objectives(spec)]
    rows = (
        (trial["number"], *(trial["values"].get(name) for name in names), trial["params"]) for trial in front["trials"]
    )
    table(("trial", *names, "parameters"), rows, "No completed trial meets the metric_constraints, or none completed.")
    if front["total"] > len(front["trials"]):
        hint(f"{len(front['trials'])} of {front['total']} trials on the front.")


def show_warm_start(report: Sequence[JsonDict]) -> None:
    """What became of earlier jobs' trials, for people."""
    for entry in report:
        hint(f"Learned from {counted(entry['used'], 'trial')} of {entry['job']} ({entry['name']}).")
        for reason, count in entry["unused"].items():
            hint(f"  {count} not used: {reason}.")
        if entry["assumed"]:
            hint(f"  Assumed, since those trials did not have it: {cell(entry['assumed'])}.")
        if entry["ignored"]:
            hint(f"  Not searched any more, and left out: {', '.join(entry['ignored'])}.")


def listing(items: Sequence[JsonDict], *, as_json: bool, show: Callable[[], None]) -> None:
    """`items` as JSON, or what `show` prints."""
    if as_json:
        print_json(list(items))
    else:
        show()
