"""Commands about keys and what there is: key, algorithms, frameworks."""

from typing import Annotated

import typer

from tuning_service.cli import exits, output
from tuning_service.cli.options import AsJson, Key, Url, connect, finite
from tuning_service.cli.serving import DataDir

keys = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")


@keys.command("create", epilog="Example: tuning-service key create notebook --tenant acme --expires-in-days 90")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[str, typer.Option(help="viewer: look · member: tune · admin: also keys.")] = "member",
    tenant: Annotated[str | None, typer.Option(help="The key's tenant; for operators.")] = None,
    expires_in_days: Annotated[
        float | None, typer.Option(min=0, max=36_500, callback=finite, help="Default: never.")
    ] = None,
    operator: Annotated[
        bool,
        typer.Option("--operator", help="An operator's key, made in the database of this machine without a service."),
    ] = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It is shown once and stored nowhere.

    The first key of a deployment is made with --operator, on the machine that has its database.
    """
    if operator:
        made = _operator_key(name, data_dir)
    else:
        with connect(url, key) as client:
            made = client.create_key(name=name, role=role, tenant=tenant, expires_in_days=expires_in_days)
    if as_json:
        output.print_json(made)
    else:
        output.say(made["secret"])
        output.hint(f"Key {made['id']}, role {made['role']}. Keep it: it will not be shown again.")


def _operator_key(name: str, data_dir: str | None) -> output.JsonDict:
    from tuning_service import bootstrap
    from tuning_service.settings import Settings

    made, secret = bootstrap.create_operator_key(Settings.load(data_dir=data_dir), name)
    return {"id": made.id, "name": made.name, "role": str(made.role), "tenant_id": None, "secret": secret}


@keys.command("list", epilog="Example: tuning-service key list --tenant acme")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="The keys' tenant; for operators.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List keys, oldest first. The keys themselves are not shown: nobody knows them."""
    with connect(url, key) as client:
        found = client.keys(tenant)
    rows = (
        (k["id"], k["name"], k["role"], *(output.when(k[at]) for at in ("created_at", "expires_at", "revoked_at")))
        for k in found
    )
    columns = ("id", "name", "role", "created", "expires", "revoked")
    output.listing(found, as_json=as_json, show=lambda: output.table(columns, rows, "There are no keys."))


@keys.command("revoke", epilog="Example: tuning-service key revoke key_01…")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, as `key list` shows it.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: it is refused from now on."""
    with connect(url, key) as client:
        revoked = client.revoke_key(key_id)
    output.print_json(revoked) if as_json else output.say(f"{key_id} is revoked.")


def algorithms(
    name: Annotated[str | None, typer.Argument(help="Show the options of this one.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the search algorithms, or the options of one."""
    with connect(url, key) as client:
        found = [item for item in client.algorithms() if name in {None, item["name"]}]
    if not found:
        output.hint(f"There is no algorithm {name!r}; `tuning-service algorithms` lists those there are.")
        raise typer.Exit(exits.NOT_FOUND)
    if as_json:
        output.print_json(found if name is None else found[0])
    elif name is None:
        output.table(("name", "summary"), ((item["name"], item["summary"]) for item in found), "")
    else:
        output.say(found[0]["summary"])
        options = found[0]["options"].get("properties", {}).items()
        rows = ((option, about.get("default"), about.get("description", "")) for option, about in options)
        output.table(("option", "default", "meaning"), rows, "It has no options.")


def frameworks(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List the frameworks."""
    with connect(url, key) as client:
        found = client.frameworks()
    rows = ((item["name"], item["summary"]) for item in found)
    output.listing(found, as_json=as_json, show=lambda: output.table(("name", "summary"), rows, "There are none."))
