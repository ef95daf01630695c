"""Commands about compute pools: list, show, create, set, drain, undrain, cordon, uncordon, delete."""

from typing import Annotated, Any

import typer

from tuning_service.cli import output
from tuning_service.cli.options import AsJson, Given, Key, Options, Url, connect, finite, number_or_none, takes

pool = typer.Typer(no_args_is_help=True, help="Compute pools: Spark clusters that jobs run on.")

Name = Annotated[str, typer.Argument(metavar="POOL", help="Its name.")]
Host = Annotated[str, typer.Argument(metavar="HOST", help="The executor, as `trials JOB TRIAL` names it.")]
DESCRIBED: Options = {
    "conf": Annotated[
        list[str] | None,
        typer.Option(help="Spark configuration, NAME=VALUE; may be repeated. Replaces all that was set."),
    ],
    "slots": Annotated[str | None, typer.Option(help="How many slots there are; 'none': ask Spark.")],
    "cpus_per_slot": Annotated[int | None, typer.Option(min=1, help="With --slots: CPUs of each.")],
    "gpus_per_slot": Annotated[int | None, typer.Option(min=0, help="With --slots: GPUs of each.")],
    "price": Annotated[float | None, typer.Option(min=0, callback=finite, help="What a GPU costs for an hour.")],
    "tenants": Annotated[str | None, typer.Option(help="Who may use it, comma-separated names; 'all' for everybody.")],
}
Master = Annotated[str | None, typer.Option(help="Spark master. Like --conf, from a controller's next start on.")]

_SMALL_SKEW_S = 5.0


@pool.command("list")
def list_pools(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List the pools that jobs may name."""
    with connect(url, key) as client:
        found = client.pools()
    rows = (
        (p["name"], p["cpus"], p["gpus"], p["price"] or "", "drained" if p["drained"] else p["trouble"] or "ready")
        for p in found
    )
    columns = ("pool", "cpus", "gpus", "price", "state")
    output.listing(found, as_json=as_json, show=lambda: output.table(columns, rows, "There are no pools."))


@pool.command("show", epilog="Example: tuning-service pool show h100")
def show_pool(name: Name, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show a pool, and for operators its controllers."""
    with connect(url, key) as client:
        found = client.pool(name)
        if as_json:
            output.print_json(found)
            return
        names = {tenant["id"]: tenant["name"] for tenant in client.tenants()} if found["tenants"] else {}
    told = {k: v for k, v in found.items() if k not in {"controllers", "conf", "cordons"} and v not in (None, "")}
    if found["tenants"] is not None:
        told["tenants"] = ", ".join(names.get(tenant, tenant) for tenant in found["tenants"]) or "none"
    told |= {f"conf {k}": v for k, v in (found["conf"] or {}).items()}
    output.table(("what", "value"), told.items(), "")
    rows = (
        (
            c["id"],
            c["host"],
            c["pid"],
            c["version"],
            c["problem"] or ("yes" if c["connected"] else ""),
            output.when(c["seen_at"]),
            f"{c['skew_s']:+.0f} s" if abs(c["skew_s"]) > _SMALL_SKEW_S else "",
        )
        for c in found["controllers"] or ()
    )
    output.table(("controller", "host", "pid", "version", "connected", "seen", "clock"), rows, "")
    if found["cordons"]:
        left_out = (
            (c["host"], c["reason"], c["set_by"], output.when(c["ends_at"]) if c["ends_at"] else "uncordoned")
            for c in found["cordons"]
        )
        output.table(("cordoned", "reason", "by", "until"), left_out, "")


@pool.command("create", epilog="Example: tuning-service pool create h100 --master spark://spark:7077 --price 2.5")
@takes(DESCRIBED)
def create_pool(
    name: Name,
    master: Annotated[str, typer.Option(help="local[*], spark://HOST:7077, yarn, k8s://…")],
    given: Given,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a pool. Then start a controller for it: `tuning-service controller --pool POOL`."""
    with connect(url, key) as client:
        made = client.create_pool(name, master, **_described(given))
    output.print_json(made) if as_json else output.say(made["name"])


@pool.command("set", epilog="Example: tuning-service pool set h100 --price 3 --tenants acme,audio")
@takes({"master": Master, **DESCRIBED})
def set_pool(
    name: Name,
    given: Given,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change a pool."""
    if not given:
        raise typer.BadParameter("name what to change, as in --price 3")
    with connect(url, key) as client:
        changed = client.change_pool(name, **_described(given))
    output.print_json(changed) if as_json else output.say(f"{name} is changed.")


@pool.command("drain", epilog="Example: tuning-service pool drain h100")
def drain_pool(name: Name, url: Url = None, key: Key = None) -> None:
    """Start no further trials in a pool; what runs goes on, and jobs wait."""
    with connect(url, key) as client:
        client.change_pool(name, drained=True)
    output.say(f"{name} is drained.")


@pool.command("undrain", epilog="Example: tuning-service pool undrain h100")
def undrain_pool(name: Name, url: Url = None, key: Key = None) -> None:
    """Start trials in a drained pool again."""
    with connect(url, key) as client:
        client.change_pool(name, drained=False)
    output.say(f"{name} goes on.")


@pool.command("cordon", epilog='Example: tuning-service pool cordon h100 node7 --reason "new disk"')
def cordon_executor(
    name: Name,
    host: Host,
    reason: Annotated[str, typer.Option(help="Shown to operators, and in the tasks that went elsewhere.")] = "",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, callback=finite, help="For how long; default: until uncordon.")
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Give an executor no further trials; what runs there goes on."""
    with connect(url, key) as client:
        made = client.cordon(name, host, reason, minutes)
    output.say(f"{host} is cordoned. {made.get('note', '')}".rstrip())


@pool.command("uncordon", epilog="Example: tuning-service pool uncordon h100 node7")
def uncordon_executor(name: Name, host: Host, url: Url = None, key: Key = None) -> None:
    """Give an executor trials again."""
    with connect(url, key) as client:
        client.uncordon(name, host)
    output.say(f"{host} gets trials again.")


@pool.command("delete", epilog="Example: tuning-service pool delete h100")
def delete_pool(name: Name, url: Url = None, key: Key = None) -> None:
    """Forget a pool in which no unfinished job is and that no controller serves."""
    with connect(url, key) as client:
        client.delete_pool(name)
    output.say(f"{name} is deleted.")


def _described(given: Given) -> dict[str, Any]:
    """What the options say, as fields of a request."""
    fields = dict(given)
    if "conf" in fields:
        pairs = [pair.partition("=") for pair in fields["conf"]]
        if any(not equals for _, equals, _ in pairs):
            raise typer.BadParameter("--conf takes NAME=VALUE")
        fields["conf"] = {name: value for name, _, value in pairs}
    if "slots" in fields:
        fields["slots"] = number_or_none(fields["slots"], "slots")
    if "tenants" in fields:
        names = fields["tenants"]
        fields["tenants"] = None if names == "all" else [n.strip() for n in names.split(",") if n.strip()]
    return fields
