"""`amd-service serve`"""

from typing import Annotated

import typer

from amd_service.cli.process import exit_despite_threads, load_settings_and_logging, run


def serve(
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
    from amd_service.web import server

    run(server.serve(load_settings_and_logging(), with_worker=worker, with_model=model))
    exit_despite_threads()
