"""Commands about jobs: submit, list, show, change, stop, resume, delete."""

from pathlib import Path
from typing import Annotated

import typer

from tuning_service.cli import exits, output
from tuning_service.cli.options import AsJson, JobId, Key, Url, connect, number_or_none
from tuning_service.domain.job import Budget
from tuning_service.domain.texts import counted

_LISTS = (
    ("limits", "metric_constraints"),
    ("stored", "stored_metrics"),
    ("log files", "log_files"),
    ("log patterns", "log_patterns"),
    ("warm start", "warm_start"),
)
# Where a job that is left alone goes, or stays: another target is worth a word.
_HEADING = {
    "created": {"running"},
    "running": {"running"},
    "stopping": {"stopped", "running"},
    "stopped": {"stopped"},
    "completed": {"stopped"},
    "failed": {"stopped"},
}


def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file, YAML or JSON.")],
    program: Annotated[
        Path | None, typer.Option(help="Folder with the program, instead of the one that the file names.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show live progress until the job has ended.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Upload a program and start tuning it.

    With --watch the exit code tells whether the job completed, and the best configuration is printed.
    Interrupting it leaves the job running.
    """
    with connect(url, key) as client:
        job = client.submit(job_file, program=program)
        if not as_json:
            _tell(job)
        if not watch:
            if as_json:
                output.print_json(job)
            else:
                output.say(job["id"])
                output.hint(f"Started. See how it goes: tuning-service show {job['id']}")
            return
        if not as_json:
            output.hint(f"Job {job['id']}")
        try:
            job = output.watch(client, job["id"], quiet=as_json)
        except KeyboardInterrupt:
            output.hint(f"The job goes on. End it with: tuning-service stop {job['id']}")
            raise
        best = client.best(job["id"])
        several = len(output.objectives(job["spec"])) > 1
        found = {"best": best} | ({"front": client.front(job["id"])} if several else {})
    if as_json:
        output.print_json({"job": job} | found)
    else:
        output.say(f"{job['status']}: {output.progress_text(job['progress'])}")
        if job["reason"]:
            output.say(job["reason"])
        if several:
            output.show_front(found["front"], job["spec"])
        else:
            output.show_best(best, job["spec"])
    if job["status"] != "completed":
        raise typer.Exit(exits.JOB_FAILED)


def _tell(job: output.JsonDict) -> None:
    """What a user should know of the job that was submitted."""
    output.show_warm_start(job["warm_start_report"])
    if note := Budget(**job["spec"]["budget"]).note:
        output.hint(note)


def list_jobs(
    status: Annotated[str | None, typer.Option(help="Only these: running, completed, failed, stopped …")] = None,
    search: Annotated[str | None, typer.Option(help="Part of the job's name or id, or of its owner's name.")] = None,
    framework: Annotated[str | None, typer.Option(help="Only jobs of this framework.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="Only jobs with this algorithm.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only jobs in this pool.")] = None,
    sort: Annotated[
        str | None, typer.Option(help="created_at, name, status, ended_at or cost, with - before it for descending.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Show at most this many.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the tenant's jobs, newest first."""
    with connect(url, key) as client:
        jobs = client.jobs(
            status, search=search, framework=framework, algorithm=algorithm, pool=pool, sort=sort, limit=limit
        )
    columns = ("id", "name", "status", "done", "failed", "best", "created")
    rows = (
        (
            job["id"],
            job["name"],
            job["status"],
            f"{job['progress']['done']}/{job['progress']['total']}",
            job["progress"]["failed"],
            _best_cell(job["progress"]),
            output.when(job["created_at"]),
        )
        for job in jobs
    )
    filtered = any((status, search, framework, algorithm, pool))
    none = "No job matches." if filtered else "There are no jobs."
    output.listing(jobs, as_json=as_json, show=lambda: output.table(columns, rows, none))


def _best_cell(progress: output.JsonDict) -> object:
    return progress["best_value"] if progress["front_size"] is None else f"{progress['front_size']} on the front"


def show(
    job_id: JobId,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when the job has failed or was stopped.")
    ] = False,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print its job file, which can be changed and submitted again.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show one job: its status, its progress, and what was submitted."""
    with connect(url, key) as client:
        job = client.job(job_id)
        text = client.job_file(job_id) if as_yaml else ""
    if as_json:
        output.print_json(job)
    elif as_yaml:
        output.say(text.rstrip("\n"))
    else:
        spec = job["spec"]
        status = job["status"]
        if job["target"] not in _HEADING.get(status, {job["target"]}):
            status += f" → {job['target']}"
        output.fields(
            [
                ("id", job["id"]),
                ("name", job["name"]),
                ("status", status + (f": {job['reason']}" if job["reason"] else "")),
                ("progress", output.progress_text(job["progress"])),
                *_by_model(job),
                ("created", output.when(job["created_at"])),
                ("ended", output.when(job["ended_at"])),
                ("command", spec["command"]),
                ("framework", spec["framework"]),
                *((("environment", spec["environment"]),) if spec["environment"] else ()),
                ("objective", "\n".join(f"{o['goal']} {o['metric']}" for o in output.objectives(spec))),
                *((name, "\n".join(spec[key])) for name, key in _LISTS if spec[key]),
                ("algorithm", f"{spec['algorithm']['name']} {output.cell(spec['algorithm']['options'])}".rstrip()),
                ("budget", spec["budget"]),
                ("resources", spec["resources"]),
                ("space", "\n".join(f"{name}: {output.cell(entry)}" for name, entry in spec["space"].items())),
                *((("constraints", "\n".join(spec["constraints"])),) if spec["constraints"] else ()),
                *((("points", f"{job['queued_points']} queued"),) if job["queued_points"] else ()),
            ]
        )
    if exit_code and job["status"] in {"failed", "stopped"}:
        raise typer.Exit(exits.JOB_FAILED)


def add_points(
    job_id: JobId,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[POINTS.yaml]", help="YAML or JSON with a list `points`.", show_default=False),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="NAME=VALUE of one point; once for each parameter.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Have configurations tried next, before what the algorithm suggests.

    What a point leaves out has its default, or else the middle of its range. Points count within the job's budget of
    trials, and may repeat what was tried.
    """
    from tuning_service.client.job_files import load_points, parse_params

    points = load_points(file) if file is not None else []
    if param or not points:
        points.append(parse_params(param or []))
    with connect(url, key) as client:
        queued = client.add_points(job_id, points)
    rows = ((point["source"], output.cell(point["params"])) for point in queued)
    output.listing(queued, as_json=as_json, show=lambda: output.table(("queued as", "configuration"), rows, ""))


def _by_model(job: output.JsonDict) -> list[tuple[str, object]]:
    """What the algorithm's model holds for the best, where that is another trial than the best by observation."""
    by_model = job["by_model"]
    if by_model is None or by_model["trial"] == job["progress"]["best_trial"]:
        return []
    return [("best by model", f"{output.cell(by_model['value'])} (trial {by_model['trial']}), which allows for noise")]


def change(
    job_id: JobId,
    trials: Annotated[int | None, typer.Option(help="How many configurations to try in all.")] = None,
    parallel: Annotated[int | None, typer.Option(help="How many to run at once.")] = None,
    minutes: Annotated[str | None, typer.Option(help="How long it may run in all; none: no limit.")] = None,
    trial_minutes: Annotated[
        str | None, typer.Option(help="Of each trial that starts from now on; none: no limit.")
    ] = None,
    failures: Annotated[int | None, typer.Option(help="Failed trials in a row after which the job gives up.")] = None,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change a job's budget or name, while it runs or after it has ended; resume then uses the new budget."""
    counts = {"trials": trials, "parallel": parallel, "failures": failures}
    budget: dict[str, float | None] = {field: value for field, value in counts.items() if value is not None}
    for field, text in (("minutes", minutes), ("trial_minutes", trial_minutes)):
        if text is not None:
            budget[field] = number_or_none(text, field)
    if not budget and name is None:
        raise typer.BadParameter("Name at least one thing to change.")
    with connect(url, key) as client:
        job = client.change(job_id, name=name, **budget)
    budget_text = output.cell(job["spec"]["budget"])
    output.print_json(job) if as_json else output.say(f"{job_id} is {job['status']}; budget: {budget_text}")


def stop(
    job_id: JobId,
    trial: Annotated[
        int | None, typer.Argument(metavar="TRIAL", min=0, help="Stop this trial alone, for good.", show_default=False)
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Stop a job, which can be resumed, or one of its trials. Trainings end within seconds; finished trials stay."""
    with connect(url, key) as client:
        if trial is not None:
            stopped = client.stop_trial(job_id, trial)
            output.print_json(stopped) if as_json else output.say(f"Trial {trial} is being stopped.")
            return
        job = client.stop(job_id)
    output.print_json(job) if as_json else output.say(f"{job_id} is being stopped.")


def resume(job_id: JobId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Resume a job that has ended. One that has completed needs a larger budget first: see change."""
    with connect(url, key) as client:
        job = client.resume(job_id)
    output.print_json(job) if as_json else output.say(f"{job_id} goes on.")


def delete(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Delete a job with its trials, measurements and logs. Asks first, unless --yes."""
    with connect(url, key) as client:
        if not yes:
            job = client.job(job_id)
            question = (
                f"Delete {job['name']!r} ({job['status']}, {counted(job['progress']['done'], 'trial')}) for good?"
            )
            if not typer.confirm(question, err=True):
                output.hint("Nothing was deleted.")
                raise typer.Exit(exits.INVALID)
        job = client.delete(job_id)
    output.print_json(job) if as_json else output.say(f"{job_id} is being deleted.")
