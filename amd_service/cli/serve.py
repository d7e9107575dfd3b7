"""`amd-service serve`"""

from typing import Annotated

import typer

from amd_service.cli.process import exit_despite_threads, load_settings_and_logging, run


def serve(
    worker: Annotated[bool, typer.Option(help="Also run a worker, which judges recordings, in this process.")] = True,
) -> None:
    """Receive callbacks, serve the HTTP API and, by default, judge recordings."""
    from amd_service.web import server

    run(server.serve(load_settings_and_logging(), with_worker=worker))
    exit_despite_threads()
