"""Commands that run the service: serve, manager, controller, db upgrade."""

from typing import TYPE_CHECKING, Annotated

import typer

from tuning_service.cli import output
from tuning_service.cli.options import AsJson, Given, Options, takes

if TYPE_CHECKING:
    from tuning_service.settings import Settings

database = typer.Typer(no_args_is_help=True, help="The database's schema.")

# Without a default here: what is not given comes from the environment, TUNING_SERVICE_<NAME>, see deploy/env.example.
DataDir = Annotated[str | None, typer.Option(help="Folder for the database and artifacts.", show_default=False)]
DATABASE: Options = {
    "data_dir": DataDir,
    "database_url": Annotated[
        str | None, typer.Option(help="sqlite:///FILE or postgresql://… [default: SQLite in the data folder]")
    ],
}
STORES: Options = {
    **DATABASE,
    "artifacts_url": Annotated[
        str | None,
        typer.Option(help="Where programs, logs and artifacts go: a folder, s3://… [default: in the data folder]"),
    ],
}
ADDRESS: Options = {
    "host": Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")],
    "port": Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one. [default: 8765]")],
}
SPARK: Options = {
    "pool": Annotated[str | None, typer.Option(help="Compute pool to serve; made when it is new. [default: default]")],
    "spark_master": Annotated[
        str | None, typer.Option("--master", help="Spark master: local[*], spark://HOST:7077 … [default: local[*]]")
    ],
    "service_url": Annotated[
        str | None, typer.Option(help="Where executors reach the service. [default: host and port]")
    ],
}
LOGGING: Options = {
    "log_format": Annotated[str | None, typer.Option(help="console or json. [default: console]")],
}
ReadyFile = Annotated[
    str | None, typer.Option(help="File that is written once requests are served; holds the URL as JSON.")
]


@takes({**STORES, **ADDRESS, **SPARK, **LOGGING})
def serve(given: Given, ready_file: ReadyFile = None) -> None:
    """Run the whole service in one process: REST, controller and Spark driver.

    Without options it keeps its data in ~/.local/share/tuning-service and trains on this machine.
    Every option has an environment variable: TUNING_SERVICE_PORT and so on. SIGTERM ends it in good order.
    """
    from tuning_service import bootstrap

    bootstrap.serve(_settings(given), ready_file=ready_file)


@takes({**STORES, **ADDRESS, **LOGGING})
def manager(given: Given, ready_file: ReadyFile = None) -> None:
    """Run a manager: REST only. Run as many as you like on one database, and a controller beside them."""
    from tuning_service import bootstrap

    bootstrap.run_manager(_settings(given), ready_file=ready_file)


@takes({**STORES, **SPARK, **LOGGING})
def controller(given: Given, ready_file: ReadyFile = None) -> None:
    """Run a controller: it drives the jobs on a Spark master. Executors report to the managers at --service-url."""
    from tuning_service import bootstrap

    bootstrap.run_controller(_settings(given), ready_file=ready_file)


@database.command("upgrade", epilog="Example: tuning-service db upgrade --database-url postgresql://tuning@db/tuning")
@takes(DATABASE)
def upgrade(given: Given, as_json: AsJson = False) -> None:
    """Bring the database's schema to what this version needs. Back the database up before."""
    from tuning_service import bootstrap

    revision = bootstrap.upgrade(_settings(given))
    output.print_json({"revision": revision}) if as_json else output.say(f"The database is at revision {revision}.")


def _settings(given: Given) -> "Settings":
    from tuning_service.settings import Settings

    return Settings.load(**given)
