"""`amd-service person add`, `change`, `disable` and `list`"""

from typing import Annotated, Literal

import typer

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

    password = None if proxy_only else read_password()
    run(add_person(load_settings_and_logging(quiet=True), name, role, password, numbers))
    typer.echo(f"added {name} ({role})")


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

    secret = read_password() if password else None
    run(change_person(load_settings_and_logging(quiet=True), name, role, secret, numbers))
    typer.echo(f"changed {name}")


@app.command(cls=PlainCommand)
def disable(name: Name) -> None:
    """Disable a person, and sign the person out everywhere. `person change` enables the person again."""
    from amd_service.cli.access_commands import disable_person

    run(disable_person(load_settings_and_logging(quiet=True), name))
    typer.echo(f"disabled {name}")


@app.command("list", cls=PlainCommand)
def list_command() -> None:
    """List all people."""
    from amd_service.cli.access_commands import list_people

    for line in run(list_people(load_settings_and_logging(quiet=True))):
        typer.echo(line)


def read_password() -> str:
    """Ask for a password twice on a terminal; otherwise read one line of the standard input."""
    import sys

    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
