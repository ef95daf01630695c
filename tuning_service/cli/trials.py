"""Commands about trials: trials, best, logs."""

import sys
from typing import Annotated

import typer

from tuning_service.cli import output
from tuning_service.cli.log_files import LogsGroup, explain
from tuning_service.cli.options import AsJson, JobId, Key, Url, connect

_COLUMNS = ("trial", "status", "value", "limits", "time", "parameters", "fault", "reason")


def _row(trial: output.JsonDict) -> tuple[object, ...]:
    time = output.duration(trial["elapsed_s"])
    value = trial["values"] if len(trial["values"]) > 1 else trial["value"]
    limits = "" if trial["feasible"] else "exceeded"
    fault = _fault(trial)
    return trial["number"], trial["status"], value, limits, time, trial["params"], fault, trial["reason"]


def _fault(trial: output.JsonDict) -> object:
    """Whose fault it was, where it was not the program's, which goes without saying; and in a word, how."""
    whose = "" if trial["fault"] in {"none", "program"} else trial["fault"]
    how = "" if trial["failure"] in {"crashed", whose} else trial["failure"]
    return ": ".join(filter(None, [whose, how]))


def trials(
    job_id: JobId,
    number: Annotated[
        int | None, typer.Argument(metavar="TRIAL", help="Show this trial with all its executions.", min=0)
    ] = None,
    sort: Annotated[
        str, typer.Option(help="number, value or ended_at, with - before it for descending; or best.")
    ] = "number",
    status: Annotated[str | None, typer.Option(help="queued, running, completed, failed or stopped.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Show at most this many.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all trials as comma-separated values.")] = False,
    log: Annotated[bool, typer.Option(help="With a trial: the last lines of each execution.")] = True,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List a job's trials, or show one of them."""
    if as_csv and (number is not None or status is not None or limit is not None or sort != "number"):
        raise typer.BadParameter(
            "It prints all trials: leave out TRIAL, --sort, --status, --limit.", param_hint="--csv"
        )
    with connect(url, key) as client:
        if as_csv:
            for piece in client.trials_csv(job_id):
                sys.stdout.write(piece.replace("\r\n", "\n"))
            return
        if number is not None:
            trial = client.trial(job_id, number)
            output.print_json(trial) if as_json else _show_trial(trial, log=log)
            return
        found = client.trials(job_id, sort=sort, limit=limit, status=status)
    none = "There are no trials yet." if status is None else f"No trial is {status}."
    output.listing(found, as_json=as_json, show=lambda: output.table(_COLUMNS, map(_row, found), none))


def _show_trial(trial: output.JsonDict, *, log: bool) -> None:
    output.fields(
        [
            ("trial", trial["number"]),
            ("status", trial["status"] + (f": {trial['reason']}" if trial["reason"] else "")),
            *([("fault", fault)] if (fault := _fault(trial)) else []),
            ("value", trial["values"] if len(trial["values"]) > 1 else trial["value"]),
            *([] if trial["feasible"] else [("limits", "exceeded: it violates a metric constraint")]),
            ("parameters", "\n".join(f"{name}: {output.cell(v)}" for name, v in trial["params"].items())),
            ("metrics", trial["metrics"]),
            ("time", output.duration(trial["elapsed_s"])),
        ]
    )
    if trial["explanation"]:
        output.say(trial["explanation"])
    rows = (
        (
            task["number"],
            task["status"],
            task["host"] or None,
            ",".join(task["gpus"]) or None,
            output.when(task["claimed_at"]),
            task["outcome"]["exit_code"] if task["outcome"] else None,
            task["outcome"]["reason"] if task["outcome"] else "",
        )
        for task in trial["tasks"]
    )
    output.table(("task", "status", "host", "gpus", "claimed", "exit", "reason"), rows, "It has not been started yet.")
    for task in trial["tasks"]:
        if task["log_problem"]:
            output.say(f"\nTask {task['number']}: {task['log_problem']}")
        if log and task["outcome"] and task["outcome"]["log_tail"]:
            output.say(f"\nTask {task['number']} printed at its end:\n{task['outcome']['log_tail'].rstrip()}")


def best(
    job_id: JobId,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 5,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show the best configuration, and the runners-up; of a job with several objectives the Pareto front."""
    with connect(url, key) as client:
        spec = client.job(job_id)["spec"]
        if len(output.objectives(spec)) > 1:
            front = client.front(job_id, limit=limit)
            output.print_json(front) if as_json else output.show_front(front, spec)
            return
        found = client.best(job_id, limit=limit)
    if as_json:
        output.print_json(found)
        return
    output.show_best(found, spec)
    if len(found["trials"]) > 1:
        output.say("")
        output.table(_COLUMNS[:-1], (_row(trial)[:-1] for trial in found["trials"]), "")


logs = typer.Typer(
    cls=LogsGroup,
    help="Print what a trial printed (logs JOB); explain what is read from a log file.",
    epilog="Example: tuning-service logs job_01… 3 --follow",
)
logs.command("explain", epilog="Example: tuning-service logs explain train.log --framework pytorch --metric val_loss")(
    explain
)


@logs.command("show", epilog="Example: tuning-service logs job_01… 3 --follow")
def show_log(
    job_id: JobId,
    number: Annotated[
        int | None,
        typer.Argument(metavar="TRIAL", min=0, help="Number of the trial; default: the best, else the newest one."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what comes until it ends.")] = False,
    task: Annotated[int | None, typer.Option(min=0, help="Which execution of it; default: the newest.")] = None,
    tail: Annotated[int | None, typer.Option(min=1, help="Only this many bytes, from the end.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Print what a trial printed. The word `show` may be left out."""
    with connect(url, key) as client:
        if number is None:
            chosen = client.best(job_id, limit=1)["trials"] or client.trials(job_id, sort="-number", limit=1)
            if not chosen:
                output.hint("There are no trials yet.")
                raise typer.Exit(4)
            number = int(chosen[0]["number"])
            if not as_json:
                output.hint(f"Trial {number}:")
        start = -tail if tail else 0
        if as_json:
            text = client.log(job_id, number, task=task, start=start)
            output.print_json({"trial": number, "log": text})
            return
        pieces = client.follow_log(job_id, number, task=task, start=start) if follow else None
        for piece in pieces or [client.log(job_id, number, task=task, start=start)]:
            sys.stdout.write(piece)
            sys.stdout.flush()


@logs.command("search", epilog="Example: tuning-service logs search job_01… 3 nan")
def search_log(
    job_id: JobId,
    number: Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")],
    text: Annotated[str, typer.Argument(help="What to look for: plain text within one line.")],
    task: Annotated[int | None, typer.Option(min=0, help="Which execution of it; default: the newest.")] = None,
    match_case: Annotated[bool, typer.Option("--case", help="Tell capitals from small letters.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many lines.")] = 100,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Print the lines of a trial's log that hold a text, with their numbers."""
    with connect(url, key) as client:
        found = client.search_log(job_id, number, text, task=task, match_case=match_case, limit=limit)
    if as_json:
        output.print_json(found)
        return
    for match in found["matches"]:
        output.say(f"{match['line']}: {match['text']}")
    if found["total"] > len(found["matches"]):
        output.hint(f"{len(found['matches'])} of {found['total']} lines.")
    if found["stopped_early"]:
        output.hint(f"Only the first {found['searched']} of {found['size']} bytes were searched.")
