"""Commands about tenants: create, list, show, set."""

from typing import Annotated, Any

import typer

from tuning_service.cli import output
from tuning_service.cli.options import AsJson, Given, Key, Options, Url, connect, finite, number_or_none, takes

tenant = typer.Typer(no_args_is_help=True, help="Tenants: their weights, quotas and usage. For operators.")

_USED = ("tasks", "cpu_hours", "gpu_hours", "cost")
_LIMITS = {
    "gpus": ("max_gpus", "GPUs at once"),
    "gpu_hours": ("max_gpu_hours", "GPU-hours a month"),
    "jobs": ("max_jobs", "jobs that have not ended"),
    "storage_bytes": ("max_storage_bytes", "bytes stored"),
}

QUOTAS: Options = {
    "max_parallel": Annotated[int | None, typer.Option(min=1, help="Trials in parallel over all its jobs.")],
    "weight": Annotated[
        float | None, typer.Option(callback=finite, help="Its share of contended slots, relative to others' weights.")
    ],
    "max_gpus": Annotated[str | None, typer.Option(help="GPUs at once; 'none' for no limit, as below.")],
    "max_gpu_hours": Annotated[str | None, typer.Option(help="GPU-hours in a calendar month.")],
    "max_jobs": Annotated[str | None, typer.Option(help="Jobs that have not ended.")],
    "max_storage_bytes": Annotated[str | None, typer.Option(help="Bytes of programs, plug-ins, logs and artifacts.")],
    "max_requests_per_s": Annotated[str | None, typer.Option(help="Requests a second, at each manager process.")],
}


@tenant.command("create", epilog="Example: tuning-service tenant create acme --max-parallel 8 --weight 2")
@takes(QUOTAS)
def create_tenant(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, dashes, underscores.")],
    given: Given,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a tenant. It has no key yet: make one with `key create --tenant NAME`."""
    with connect(url, key) as client:
        made = client.create_tenant(name, **_quotas(given))
    output.print_json(made) if as_json else output.say(made["id"])


@tenant.command("set", epilog="Example: tuning-service tenant set acme --weight 3 --max-gpu-hours none")
@takes(QUOTAS)
def set_quotas(
    name: Annotated[str, typer.Argument(metavar="TENANT", help="Its name or id.")],
    given: Given,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change a tenant's weight and quotas. It takes effect within seconds, and ends nothing that runs."""
    if not given:
        raise typer.BadParameter("name what to change, as in --weight 3")
    with connect(url, key) as client:
        changed = client.change_tenant(name, **_quotas(given))
    output.print_json(changed) if as_json else output.say(f"{name} is changed.")


@tenant.command("list")
def list_tenants(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List all tenants."""
    with connect(url, key) as client:
        found = client.tenants()
    rows = (
        (
            t["id"],
            t["name"],
            t["weight"],
            t["max_parallel"],
            *(t[column] for column, _ in _LIMITS.values()),
            output.when(t["created_at"]),
        )
        for t in found
    )
    columns = ("id", "name", "weight", "parallel", *_LIMITS, "created")
    output.listing(found, as_json=as_json, show=lambda: output.table(columns, rows, "There are no tenants."))


@tenant.command("show", epilog="Example: tuning-service tenant show acme")
def show_tenant(
    name: Annotated[
        str | None, typer.Argument(metavar="[TENANT]", help="Its name or id, for operators; default: your own.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what a tenant uses, beside its quotas."""
    with connect(url, key) as client:
        found = client.tenant(name)
    if as_json:
        output.print_json(found)
        return
    usage = found["usage"]
    rows: list[tuple[object, ...]] = [("trials in parallel", usage["parallel"], found["max_parallel"])]
    for used, (limit, words) in _LIMITS.items():
        most = found[limit]
        rows.append((words, round(usage[used], 3), "no limit" if most is None else most))
    rate = found["max_requests_per_s"]
    rows.append(("requests a second", "", "no limit" if rate is None else rate))
    rows.append(("CPU-hours this month", round(usage["cpu_hours"], 3), ""))
    output.say(f"{found['name']}, weight {found['weight']:g}")
    output.table(("what", "used", "quota"), rows, "")


def _quotas(given: Given) -> dict[str, Any]:
    return {name: number_or_none(value, name) if isinstance(value, str) else value for name, value in given.items()}


def usage(
    months: Annotated[int, typer.Option(min=1, max=120, help="How many months, the current one included.")] = 12,
    tenant_name: Annotated[
        str | None, typer.Option("--tenant", help="One tenant, by name or id; for operators. Default: all of them.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what was used in each month and pool. Operators see all tenants."""
    with connect(url, key) as client:
        found = client.usage(months, tenant_name)
    rows = (
        (one["tenant"]["name"], month["month"], pool["pool"], *(pool[name] for name in _USED))
        for one in found
        for month in one["months"]
        for pool in month["pools"]
    )
    columns = ("tenant", "month", "pool", "tasks", "CPU-hours", "GPU-hours", "cost")
    output.listing(found, as_json=as_json, show=lambda: output.table(columns, rows, "Nothing was used."))
