"""`amd-service replay`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag, LiveFlag, Pace
from amd_service.cli.process import load_settings_and_logging, run


def replay(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of recorded calls, for example fixtures/calls.", exists=True, file_okay=False
        ),
    ],
    url: Annotated[
        str | None, typer.Option(help="URL of the running service. Default: the address in AMD_HOST and AMD_PORT.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="AMD_PUBLIC_URL of the service, if it differs from --url.")
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="Port of the simulated Twilio. AMD_TWILIO_API_URL of the service must have this port.",
        ),
    ] = 8099,
    live: LiveFlag = False,
    pace: Pace = 4.0,
    as_json: JsonFlag = False,
) -> None:
    """Send recorded calls to a running service and compare the results with the expected results.

    Exits 1 if a result differs from the expected result.
    """
    from amd_service.simulator.run_replay import replay_against_running_service

    settings, live_pace = load_settings_and_logging(quiet=True), pace if live else None
    if not run(
        replay_against_running_service(
            directory, settings, url=url, public_url=public_url, port=port, live_pace=live_pace, as_json=as_json
        )
    ):
        raise typer.Exit(1)
