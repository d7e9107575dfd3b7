"""`amd-service requeue`"""

from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def requeue(
    reason: Annotated[
        str | None, typer.Option(help="Only recordings that failed for this reason, e.g. unauthorised.")
    ] = None,
) -> None:
    """Requeue recordings that ended without a verdict. Run it after their cause is fixed."""
    from amd_service.cli.requeue_failed import requeue_failed

    typer.echo(f"{run(requeue_failed(load_settings_and_logging(quiet=True), reason))} recording(s) requeued")
