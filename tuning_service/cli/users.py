"""Commands about users: add, list, set, remove."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tuning_service.cli import exits, output
from tuning_service.cli.options import AsJson, Key, Url, connect
from tuning_service.cli.serving import DataDir

if TYPE_CHECKING:
    from tuning_service.client import TuningClient

user = typer.Typer(
    no_args_is_help=True, help="Users, who sign in to the portal with a password: add, list, set, remove."
)

Tenant = Annotated[
    str | None, typer.Option(help="For operators: the user's tenant; without it, the user is an operator.")
]
Name = Annotated[str, typer.Argument(metavar="USER", help="Name or id of the user.")]


@user.command("add", epilog="Example: tuning-service user add ada --tenant acme --role admin")
def add_user(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, dashes, underscores.")],
    role: Annotated[str, typer.Option(help="viewer: look · member: tune · admin: also keys and users.")] = "member",
    tenant: Tenant = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="An operator, made in the database of this machine without a service.")
    ] = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add a user. The password is asked for, or read from standard input when that is no terminal."""
    password = _password()
    if operator:
        made = _operator(name, password, data_dir)
    else:
        with connect(url, key) as client:
            made = client.create_user(name, password, role=role, tenant=tenant)
    output.print_json(made) if as_json else output.say(made["id"])


@user.command("list", epilog="Example: tuning-service user list --tenant acme")
def list_users(tenant: Tenant = None, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List users, by name."""
    with connect(url, key) as client:
        found = client.users(tenant)
    rows = (
        (u["id"], u["name"], u["role"], *(output.when(u[at]) for at in ("created_at", "disabled_at"))) for u in found
    )
    columns = ("id", "name", "role", "created", "disabled")
    output.listing(found, as_json=as_json, show=lambda: output.table(columns, rows, "There are no users."))


@user.command("set", epilog="Example: tuning-service user set ada --role viewer --tenant acme")
def set_user(
    name: Name,
    role: Annotated[str | None, typer.Option(help="viewer, member or admin.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for another password, as `user add` does.")] = False,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="A disabled user cannot sign in, and is signed out.")
    ] = None,
    tenant: Tenant = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change a user's role or password, or disable a user. The latter two sign the user out everywhere."""
    if role is None and disabled is None and not password:
        raise typer.BadParameter("name what to change, as in --role viewer")
    new_password = _password() if password else None
    with connect(url, key) as client:
        user_id = _id(client, name, tenant)
        changed = client.change_user(user_id, role=role, password=new_password, disabled=disabled)
    output.print_json(changed) if as_json else output.say(f"{changed['name']} is changed.")


@user.command("remove", epilog="Example: tuning-service user remove ada --tenant acme")
def remove_user(name: Name, tenant: Tenant = None, url: Url = None, key: Key = None) -> None:
    """Remove a user, who is signed out everywhere. Jobs stay, and go on saying whose they were."""
    with connect(url, key) as client:
        client.delete_user(_id(client, name, tenant))
    output.say(f"{name} is removed.")


def _password() -> str:
    """Asked twice without echo, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _operator(name: str, password: str, data_dir: str | None) -> output.JsonDict:
    from tuning_service import bootstrap
    from tuning_service.settings import Settings

    made = bootstrap.create_operator(Settings.load(data_dir=data_dir), name, password)
    return {"id": made.id, "name": made.name, "role": str(made.role), "tenant_id": None}


def _id(client: "TuningClient", name: str, tenant: str | None) -> str:
    for found in client.users(tenant):
        if name in {found["name"], found["id"]}:
            return str(found["id"])
    output.hint(f"There is no user {name!r}; `tuning-service user list` lists those there are.")
    raise typer.Exit(exits.NOT_FOUND)
