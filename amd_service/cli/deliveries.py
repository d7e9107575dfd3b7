"""`amd-service deliveries list` and `redrive`"""

from typing import Annotated, Literal

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import load_settings_and_logging, run

app = typer.Typer(no_args_is_help=True, cls=PlainGroup, help="List deliveries to your backends, and send them again.")

State = Literal["queued", "running", "done", "dead"]

Call = Annotated[str | None, typer.Option("--call", metavar="SID", help="Only deliveries of this call.")]


@app.command("list", cls=PlainCommand)
def list_command(
    call: Call = None,
    state: Annotated[State | None, typer.Option(help="Only deliveries in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of deliveries.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List deliveries, newest first."""
    from amd_service.cli.delivery_commands import print_deliveries

    run(print_deliveries(load_settings_and_logging(quiet=True), call, state, limit, as_json=as_json))


@app.command(cls=PlainCommand)
def redrive(
    call: Call = None,
    deliveries: Annotated[
        list[int] | None, typer.Option("--id", help="Only the delivery with this number. Can be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead deliveries.")] = False,
) -> None:
    """Send dead deliveries again. A worker sends them; the retries then take up to three days again."""
    if [call is not None, bool(deliveries), everything].count(True) != 1:
        raise typer.BadParameter("choose one of --call SID, --id NUMBER and --all")
    from amd_service.cli.delivery_commands import redrive_deliveries

    count = run(redrive_deliveries(load_settings_and_logging(quiet=True), call, deliveries))
    if count:
        typer.echo(f"{count} dead {'delivery' if count == 1 else 'deliveries'} queued again")
    else:
        typer.echo("no dead deliveries to send again. Queued deliveries are retried without this command")
