"""`amd-service requeue`"""

from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def requeue(
    reason: Annotated[
        str | None, typer.Option(help="Requeue only recordings that failed with this reason, e.g. unauthorised.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the number of recordings.")] = False,
) -> None:
    """Requeue recordings that ended without a verdict. Fix the cause of the failures before you run this command.

    `amd-service rejudge` judges recordings again that have a verdict.
    """
    from amd_service.cli.requeue_recordings import requeue_and_print

    run(requeue_and_print(load_settings_and_logging(quiet=True), reason, dry_run=dry_run))
