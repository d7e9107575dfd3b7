"""`amd-service simulate`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def simulate(
    calls: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECORDING|DIR",
            help="What the called parties say: an audio file, a folder of audio files, or a folder of recorded calls. "
            "Default: the calls that come with the service.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1. 0 means any free port.")] = 8099,
    pace: Annotated[
        float, typer.Option(min=0.1, max=16, help="Speed of the calls. 4 means four times real time.")
    ] = 1.0,
    as_json: JsonFlag = False,
) -> None:
    """Run a simulated Twilio, so that the service, `amd-service call` and your backend work without an account.

    Prints the settings for the service, then everything that happens to a call. Ctrl-C or SIGTERM stops the command.
    """
    from amd_service.simulator.simulate import simulate

    run(simulate(calls, load_settings_and_logging(quiet=True), port=port, pace=pace, as_json=as_json))
