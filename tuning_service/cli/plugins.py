"""Commands about search algorithms of one's own: plugin check, upload, list, delete."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuning_service.cli import exits, output
from tuning_service.cli.options import AsJson, Key, Url, connect

if TYPE_CHECKING:
    from tuning_service.search.plugins.check import CheckResult

plugin = typer.Typer(no_args_is_help=True, help="Search algorithms of your own: check, upload, list, delete.")

Source = Annotated[Path, typer.Argument(metavar="DIR|FILE", exists=True, help="The plug-in's folder, zip or tar.")]
OldName = Annotated[
    str, typer.Option("--name", help="Name for an archive of the older interface, which has no plugin.toml.")
]
OldVersion = Annotated[str, typer.Option("--version", help="Version for such an archive. [default: 1]")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The plug-in's name, as `plugin list` shows it.")]


@plugin.command("check", epilog="Example: tuning-service plugin check plugins/simulated_annealing")
def check(
    source: Source,
    name: OldName = "",
    memory_mb: Annotated[int, typer.Option(min=256, help="Address space of its process, in MB.")] = 2048,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one answer, and for the whole suite.")] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Check a plug-in as the service would, without a service. Exits with 1 when something is wrong.

    Its plugin.toml is read, its requirements are installed, its class is loaded and tried out in a limited process, and
    the suite that the built-in algorithms pass is run over it.
    """
    from tuning_service.search.plugins.author import check_all
    from tuning_service.search.plugins.limits import PluginLimits

    limits = PluginLimits(memory_bytes=memory_mb * 2**20, answer_s=timeout)
    results: list[CheckResult] = []
    for result in check_all(source, limits, name=name):
        results.append(result)
        if not as_json:
            output.say(f"{'ok' if result.ok else 'FAILED':<8}{result.name}")
            for line in result.detail.splitlines():
                output.say(f"        {line}")
    failed = [r for r in results if not r.ok]
    if as_json:
        output.print_json([{"name": r.name, "ok": r.ok, "detail": r.detail} for r in results])
    else:
        output.say(
            f"{len(failed)} of {len(results)} checks failed." if failed else f"All {len(results)} checks passed."
        )
    if failed:
        raise typer.Exit(exits.JOB_FAILED)


@plugin.command("upload", epilog="Example: tuning-service plugin upload plugins/simulated_annealing")
def upload(
    source: Source,
    name: OldName = "",
    version: OldVersion = "",
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Upload a plug-in for your tenant and wait until it is ready. Exits with 1 when it cannot be used."""
    with connect(url, key) as client:
        made = client.upload_plugin(source, name=name, version=version)

        def show(item: output.JsonDict) -> None:
            if not as_json and item["status"] == "installing" and item["reason"]:
                output.hint(f"{item['reason']} …")

        made = client.wait_for_plugin(made["name"], made["version"], on_change=show)
    if as_json:
        output.print_json(made)
    elif made["status"] == "ready":
        output.say(f"{made['name']} {made['version']} is ready.")
        output.hint(f"Use it in a job file: algorithm: {{name: {made['name']}}}")
    else:
        output.hint(made["reason"])
    if made["status"] != "ready":
        raise typer.Exit(exits.JOB_FAILED)


@plugin.command("list", epilog="Example: tuning-service plugin list --json")
def list_plugins(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List your tenant's plug-ins and the operator's."""
    with connect(url, key) as client:
        found = client.plugins()
    columns = ("name", "version", "kind", "status", "summary", "reason", "created")
    rows = (
        (
            *(p[column] for column in columns[:5]),
            p["reason"].partition("\n")[0],
            output.when(p["created_at"]),
        )
        for p in found
    )
    output.listing(found, as_json=as_json, show=lambda: output.table(columns, rows, "There are no plug-ins."))


@plugin.command("delete", epilog="Example: tuning-service plugin delete simulated_annealing 1.0.0")
def delete(
    name: Name,
    version: Annotated[str, typer.Argument(help="Which version.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Delete one version of a plug-in that no unfinished job uses."""
    with connect(url, key) as client:
        client.delete_plugin(name, version)
    if as_json:
        output.print_json({"name": name, "version": version, "deleted": True})
    else:
        output.say(f"{name} {version} is deleted.")
