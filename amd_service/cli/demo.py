"""`amd-service demo`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag, LiveFlag, Pace
from amd_service.cli.process import run


def demo(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="Folder of recorded calls. Default: the calls that come with the service.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Model: hub id, folder, or `demo`.")] = "demo",
    live: LiveFlag = False,
    pace: Pace = 4.0,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Afterwards keep the service running, to look at the calls in a browser. Ctrl-C ends it."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Process recorded calls with the service, a simulated Twilio and a temporary database.

    Exits 1 if the result of a call differs from the expected result.
    """
    from amd_service.detection.bundled_calls import bundled_calls
    from amd_service.simulator.demo import run_demo

    live_pace = pace if live else None
    if not run(run_demo(directory or bundled_calls(), model=model, live_pace=live_pace, keep=keep, as_json=as_json)):
        raise typer.Exit(1)
