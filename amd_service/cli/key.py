"""`amd-service key add`, `revoke` and `list`"""

from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import load_settings_and_logging, run

app = typer.Typer(no_args_is_help=True, cls=PlainGroup, help="Manage API keys of programs.")

Name = Annotated[str, typer.Argument(help="Name of the program that has the key.")]


@app.command(cls=PlainCommand)
def add(
    name: Name,
    scope: Annotated[
        list[str], typer.Option(help="What the key allows: predict, read, call, review or admin. Can be repeated.")
    ],
) -> None:
    """Make an API key and print it. It cannot be printed again."""
    from amd_service.cli.access_commands import add_key

    key, note = run(add_key(load_settings_and_logging(quiet=True), name, scope))
    typer.echo("The key is shown only now:", err=True)
    typer.echo(key)
    if note:
        typer.echo(note, err=True)


@app.command(cls=PlainCommand)
def revoke(name: Name) -> None:
    """Revoke an API key. Requests with the key are refused within seconds."""
    from amd_service.cli.access_commands import revoke_key

    run(revoke_key(load_settings_and_logging(quiet=True), name))
    typer.echo(f"revoked {name}")


@app.command("list", cls=PlainCommand)
def list_command(as_json: JsonFlag = False) -> None:
    """List the API keys that `key add` made. The keys themselves are not stored."""
    from amd_service.cli.access_commands import print_keys

    run(print_keys(load_settings_and_logging(quiet=True), as_json=as_json))
