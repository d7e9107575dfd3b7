"""`amd-service reconcile`"""

from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def reconcile(
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Period to check, in minutes, hours or days, e.g. 90m, 24h or 7d.")
    ] = "24h",
    as_json: JsonFlag = False,
) -> None:
    """Read calls and recordings from Twilio and store those whose callbacks were lost. Exits 1 if a request failed."""
    from amd_service.cli.reconcile_accounts import reconcile_and_print

    if not run(reconcile_and_print(load_settings_and_logging(quiet=True), since, as_json=as_json)):
        raise typer.Exit(1)
