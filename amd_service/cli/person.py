"""`amd-service person add`, `change`, `sign-out`, `disable` and `list`"""

from typing import Annotated, Literal

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import load_settings_and_logging, run

app = typer.Typer(no_args_is_help=True, cls=PlainGroup, help="Manage the people who may use the pages.")

Role = Literal["viewer", "reviewer", "admin"]

Name = Annotated[str, typer.Argument(help="Name for signing in, or the name that the proxy sends.")]


@app.command(cls=PlainCommand)
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the person may do.")],
    numbers: Annotated[bool, typer.Option("--numbers", help="Show phone numbers in full.")] = False,
    proxy_only: Annotated[
        bool, typer.Option("--proxy-only", help="No password: the person signs in only through AMD_USER_HEADER.")
    ] = False,
) -> None:
    """Add a person. Asks for a password; in a script, send it to the standard input."""
    from amd_service.cli.access_commands import add_person

    settings = load_settings_and_logging(quiet=True)
    password = None if proxy_only else read_password(name)
    note = run(add_person(settings, name, role, password, numbers))
    typer.echo(f"added {name} ({role})")
    if note:
        typer.echo(note, err=True)


@app.command(cls=PlainCommand)
def change(
    name: Name,
    role: Annotated[Role | None, typer.Option(help="New role.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    numbers: Annotated[
        bool | None, typer.Option("--numbers/--no-numbers", help="Show phone numbers in full, or mask them.")
    ] = None,
) -> None:
    """Change a person, enable the person again, and sign the person out everywhere."""
    from amd_service.cli.access_commands import change_person

    secret = read_password(name) if password else None
    run(change_person(load_settings_and_logging(quiet=True), name, role, secret, numbers))
    typer.echo(f"changed {name}")


@app.command(cls=PlainCommand)
def disable(name: Name) -> None:
    """Disable a person, and sign the person out everywhere. `person change` enables the person again."""
    from amd_service.cli.access_commands import disable_person

    run(disable_person(load_settings_and_logging(quiet=True), name))
    typer.echo(f"disabled {name}")


@app.command("sign-out", cls=PlainCommand)
def sign_out(name: Name) -> None:
    """Sign a person out everywhere. The person can sign in again."""
    from amd_service.cli.access_commands import sign_out_person

    run(sign_out_person(load_settings_and_logging(quiet=True), name))
    typer.echo(f"signed out {name}")


@app.command("list", cls=PlainCommand)
def list_command(as_json: JsonFlag = False) -> None:
    """List all people."""
    from amd_service.cli.access_commands import print_people

    run(print_people(load_settings_and_logging(quiet=True), as_json=as_json))


def read_password(name: str) -> str:
    """Ask for a password twice on a terminal; otherwise read one line of the standard input.

    Raises ConfigurationError for a wrong name or a short password, before the password is asked for again.
    """
    import sys

    from amd_service.operations.credentials import check_name, check_password

    check_name(name)
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = str(typer.prompt("Password", hide_input=True))
    check_password(password)
    if password != typer.prompt("Repeat the password", hide_input=True):
        raise typer.BadParameter("the two passwords differ")
    return password
