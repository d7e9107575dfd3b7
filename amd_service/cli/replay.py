"""`amd-service replay`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag, LiveFlag, Pace
from amd_service.cli.process import load_settings_and_logging, run


def replay(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Recorded calls, see fixtures/calls.", exists=True, file_okay=False)
    ],
    url: Annotated[
        str | None, typer.Option(help="The running service. Default: the address in AMD_HOST and AMD_PORT.")
    ] = None,
    public_url: Annotated[str | None, typer.Option(help="Its AMD_PUBLIC_URL, if that differs from --url.")] = None,
    port: Annotated[
        int, typer.Option(help="Port of the simulated Twilio; the service's AMD_TWILIO_API_URL must point there.")
    ] = 8099,
    live: LiveFlag = False,
    pace: Pace = 4.0,
    as_json: JsonFlag = False,
) -> None:
    """Send recorded calls to a running service and compare. Exits 1 on any mismatch."""
    from amd_service.simulator.run_replay import replay_against_running_service

    settings, live_pace = load_settings_and_logging(quiet=True), pace if live else None
    if not run(
        replay_against_running_service(
            directory, settings, url=url, public_url=public_url, port=port, live_pace=live_pace, as_json=as_json
        )
    ):
        raise typer.Exit(1)
