"""The command `tuning-service`. Each command loads what it needs when it runs, so that --help is quick."""

from collections.abc import Callable

import typer

from tuning_service.cli import (
    administration,
    drafts,
    exits,
    jobs,
    plugins,
    pools,
    serving,
    tenants,
    trial_files,
    trials,
    users,
)
from tuning_service.cli.options import AsJson

app = typer.Typer(
    cls=exits.Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tune the hyper-parameters of deep networks on Spark.\n\n"
    "Commands talk to the service at --url (TUNING_URL) with the API key --key (TUNING_API_KEY).",
    epilog="Try: tuning-service submit examples/digits_pytorch/job.yaml --watch\n\n" + exits.TABLE.replace("\n", " "),
)

_JOBS, _RUN, _ADMIN = "Tuning", "Running the service", "Administration"


def _add(name: str, command: Callable[..., None], panel: str, example: str) -> None:
    app.command(name, rich_help_panel=panel, epilog=f"Example: tuning-service {example}")(command)


_add("submit", jobs.submit, _JOBS, "submit job.yaml --watch")
_add("list", jobs.list_jobs, _JOBS, "list --status running")
_add("show", jobs.show, _JOBS, "show job_01… --json | jq .progress")
_add("trials", trials.trials, _JOBS, "trials job_01… --sort best --limit 10")
_add("best", trials.best, _JOBS, "best job_01… --json | jq .by_observation.params")
_add("add-points", jobs.add_points, _JOBS, "add-points job_01… --param lr=0.1 --param optimizer=adam")
_add("change", jobs.change, _JOBS, "change job_01… --trials 48 --minutes none")
_add("stop", jobs.stop, _JOBS, "stop job_01…")
_add("resume", jobs.resume, _JOBS, "resume job_01…")
_add("delete", jobs.delete, _JOBS, "delete job_01… --yes")
_add("algorithms", administration.algorithms, _JOBS, "algorithms tpe")
_add("frameworks", administration.frameworks, _JOBS, "frameworks")
_add("usage", tenants.usage, _JOBS, "usage --months 3")
_add("serve", serving.serve, _RUN, "serve --data-dir ./data --port 8765")
_add("manager", serving.manager, _RUN, "manager --database-url postgresql://tuning@db/tuning")
_add("controller", serving.controller, _RUN, "controller --master spark://spark:7077 --service-url http://tuning:8765")
app.add_typer(drafts.job, name="job", rich_help_panel=_JOBS)
app.add_typer(trials.logs, name="logs", rich_help_panel=_JOBS)
app.add_typer(trial_files.trial, name="trial", rich_help_panel=_JOBS)
app.add_typer(plugins.plugin, name="plugin", rich_help_panel=_JOBS)
app.add_typer(serving.database, name="db", rich_help_panel=_RUN)
app.add_typer(tenants.tenant, name="tenant", rich_help_panel=_ADMIN)
app.add_typer(pools.pool, name="pool", rich_help_panel=_ADMIN)
app.add_typer(users.user, name="user", rich_help_panel=_ADMIN)
app.add_typer(administration.keys, name="key", rich_help_panel=_ADMIN)


@app.command("version", rich_help_panel=_ADMIN)
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    from tuning_service import __version__
    from tuning_service.cli import output

    output.print_json({"version": __version__}) if as_json else output.say(__version__)
