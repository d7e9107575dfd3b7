"""Runs a replay for the command line: progress bar, result table, and whether every call ended as expected."""

from pathlib import Path

from rich.console import Console

from amd_service.errors import ConfigurationError
from amd_service.settings import Account, Settings
from amd_service.simulator.replay import replay
from amd_service.simulator.report import Progress, print_outcomes
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost


async def run_replay(
    directory: Path,
    *,
    url: str,
    account: Account,
    simulated_twilio: SimulatedTwilio,
    public_url: str | None = None,
    api_key: str | None = None,
    live_pace: float | None = None,
    as_json: bool,
) -> bool:
    """Replay the calls in `directory` against the service at `url`, and print how each call ended.

    `public_url`, `live_pace`: as in `replay`. Returns whether every call ended as expected and
    no credentials were sent to a foreign host.
    """
    console = Console(stderr=True)
    with Progress(console, directory) as progress:
        outcomes = await replay(
            directory,
            url=url,
            account=account,
            simulated_twilio=simulated_twilio,
            public_url=public_url,
            api_key=api_key,
            live_pace=live_pace,
            on_progress=progress.advance,
        )
    print_outcomes(outcomes, live_pace=live_pace, as_json=as_json)
    for violation in simulated_twilio.media.violations:
        console.print(violation, style="bold red", markup=False)
    return not simulated_twilio.media.violations and all(outcome.matched for outcome in outcomes)


async def replay_against_running_service(
    directory: Path,
    settings: Settings,
    *,
    url: str | None,
    public_url: str | None,
    port: int,
    live_pace: float | None = None,
    as_json: bool,
) -> bool:
    """Replay calls for the first configured account, against a service that is already running.

    `url`: None means the address in the settings. `port`: loopback port of the simulated Twilio; the service's
    AMD_TWILIO_API_URL must contain this port. Returns the same value as `run_replay`. Raises ConfigurationError if no
    account is configured.
    """
    if not settings.accounts:
        raise ConfigurationError(
            "no Twilio account to sign the callbacks: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN as for the service"
        )
    account = next(iter(settings.accounts.values()))
    media = MediaHost({account.account_sid: account.basic_auth})
    async with serve_simulated_twilio(media, port=port) as simulated_twilio:
        return await run_replay(
            directory,
            url=url or settings.local_url,
            account=account,
            simulated_twilio=simulated_twilio,
            public_url=public_url or settings.public_url,
            api_key=settings.api_keys[0].get_secret_value() if settings.api_keys else None,
            live_pace=live_pace,
            as_json=as_json,
        )
