"""`amd-service requeue`"""

from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def requeue(
    reason: Annotated[
        str | None, typer.Option(help="Requeue only recordings that failed with this reason, e.g. unauthorised.")
    ] = None,
    judged: Annotated[
        bool, typer.Option("--judged", help="Judge recordings that have a verdict again, with the present model.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --judged: calls answered since this time, e.g. 2026-11-20 or 7d."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --judged: calls answered before this time. Default: now.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the number of recordings.")] = False,
) -> None:
    """Requeue recordings that ended without a verdict. Fix the cause of the failures before you run this command.

    With --judged: requeue the recordings of past calls that have a verdict. Calls keep their verdict until the new
    verdict is written. The old verdict stays in the table `verdict`. No action follows a new verdict.
    """
    from amd_service.cli.requeue_options import parse_options, requeue_and_print

    settings = load_settings_and_logging(quiet=True)
    options = parse_options(reason=reason, judged=judged, since=since, until=until)
    run(requeue_and_print(settings, options, dry_run=dry_run))
