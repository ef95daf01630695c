"""Commands that run the service: serve, manager, controller, db upgrade."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuning_service.cli import output
from tuning_service.cli.options import AsJson

if TYPE_CHECKING:
    from tuning_service.settings import Settings

database = typer.Typer(no_args_is_help=True, help="The database's schema.")

# Without a default here: what is not given comes from the environment, TUNING_SERVICE_<NAME>, see deploy/env.example.
DataDir = Annotated[str | None, typer.Option(help="Folder for the database and artifacts.", show_default=False)]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="sqlite:///FILE or postgresql://… [default: SQLite in the data folder]")
]
ArtifactsUrl = Annotated[
    str | None,
    typer.Option(help="Where programs, logs and artifacts go: a folder, s3://… [default: in the data folder]"),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one. [default: 8765]")]
Master = Annotated[str | None, typer.Option(help="Spark master: local[*], spark://HOST:7077 … [default: local[*]]")]
PoolName = Annotated[
    str | None, typer.Option("--pool", help="Compute pool to serve; made when it is new. [default: default]")
]
ServiceUrl = Annotated[str | None, typer.Option(help="Where executors reach the service. [default: host and port]")]
ReadyFile = Annotated[
    str | None, typer.Option(help="File that is written once requests are served; holds the URL as JSON.")
]
LogFormat = Annotated[str | None, typer.Option(help="console or json. [default: console]")]


def serve(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    artifacts_url: ArtifactsUrl = None,
    host: Host = None,
    port: Port = None,
    pool: PoolName = None,
    master: Master = None,
    service_url: ServiceUrl = None,
    ready_file: ReadyFile = None,
    log_format: LogFormat = None,
) -> None:
    """Run the whole service in one process: REST, controller and Spark driver.

    Without options it keeps its data in ~/.local/share/tuning-service and trains on this machine.
    Every option has an environment variable: TUNING_SERVICE_PORT and so on. SIGTERM ends it in good order.
    """
    from tuning_service import bootstrap

    settings = _settings(
        data_dir=data_dir,
        database_url=database_url,
        artifacts_url=artifacts_url,
        host=host,
        port=port,
        pool=pool,
        spark_master=master,
        service_url=service_url,
        log_format=log_format,
    )
    bootstrap.serve(settings, ready_file=ready_file)


def manager(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    artifacts_url: ArtifactsUrl = None,
    host: Host = None,
    port: Port = None,
    ready_file: ReadyFile = None,
    log_format: LogFormat = None,
) -> None:
    """Run a manager: REST only. Run as many as you like on one database, and a controller beside them."""
    from tuning_service import bootstrap

    settings = _settings(
        data_dir=data_dir,
        database_url=database_url,
        artifacts_url=artifacts_url,
        host=host,
        port=port,
        log_format=log_format,
    )
    bootstrap.run_manager(settings, ready_file=ready_file)


def controller(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    artifacts_url: ArtifactsUrl = None,
    pool: PoolName = None,
    master: Master = None,
    service_url: ServiceUrl = None,
    ready_file: ReadyFile = None,
    log_format: LogFormat = None,
) -> None:
    """Run a controller: it drives the jobs on a Spark master. Executors report to the managers at --service-url."""
    from tuning_service import bootstrap

    settings = _settings(
        data_dir=data_dir,
        database_url=database_url,
        artifacts_url=artifacts_url,
        pool=pool,
        spark_master=master,
        service_url=service_url,
        log_format=log_format,
    )
    bootstrap.run_controller(settings, ready_file=ready_file)


@database.command("upgrade", epilog="Example: tuning-service db upgrade --database-url postgresql://tuning@db/tuning")
def upgrade(data_dir: DataDir = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Bring the database's schema to what this version needs. Back the database up before."""
    from tuning_service import bootstrap

    revision = bootstrap.upgrade(_settings(data_dir=data_dir, database_url=database_url))
    output.print_json({"revision": revision}) if as_json else output.say(f"The database is at revision {revision}.")


def _settings(**options: Any) -> "Settings":
    from tuning_service.settings import Settings

    return Settings.load(**options)
