"""`amd-service requeue`"""

from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def requeue(
    reason: Annotated[
        str | None, typer.Option(help="Requeue only recordings that failed with this reason, e.g. unauthorised.")
    ] = None,
) -> None:
    """Requeue recordings that ended without a verdict. Fix the cause of the failures before you run this command."""
    from amd_service.cli.requeue_failed import requeue_failed

    typer.echo(f"{run(requeue_failed(load_settings_and_logging(quiet=True), reason))} recording(s) requeued")
