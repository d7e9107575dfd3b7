"""`amd-service serve`"""

import sys
from typing import Annotated, Any

import typer

from amd_service.cli.process import exit_despite_threads, importing, load_settings_and_logging, run


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on, instead of AMD_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port to listen on, instead of AMD_PORT. 0 takes any free port.")
    ] = None,
    worker: Annotated[bool, typer.Option(help="Also run a worker, which judges recordings, in this process.")] = True,
    model: Annotated[
        bool,
        typer.Option(
            help="Load the model. Without it, /predict, /predict-stream and live streams are not available. Needs "
            "--no-worker."
        ),
    ] = True,
) -> None:
    """Receive callbacks, serve the HTTP API and, by default, judge recordings."""
    given: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load_settings_and_logging(**given)
    with importing():
        from amd_service.web import server

    is_for_people = sys.stdout.isatty() and settings.log_format != "json"
    announce = {"announce": typer.echo} if is_for_people else {}
    run(server.serve(settings, with_worker=worker, with_model=model, **announce))
    exit_despite_threads()
