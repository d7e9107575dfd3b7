"""The `replay` command: recorded calls against a service that somebody else runs."""

from pathlib import Path

from rich.console import Console

from amd_service.errors import ConfigurationError
from amd_service.lab.demo import all_matched
from amd_service.lab.replay import replay
from amd_service.lab.report import Progress, print_outcomes
from amd_service.lab.stand_in.media_host import MediaHost
from amd_service.lab.stand_in.server import serve_stand_in
from amd_service.settings import Account, Settings


async def rehearse(
    directory: Path, settings: Settings, *, url: str, public_url: str | None, port: int, as_json: bool
) -> bool:
    """Replay `directory` against `url` as the first configured account; whether every call ended as expected.

    The stand-in for Twilio listens on `port` of loopback, where the service's AMD_TWILIO_API_URL must point.
    """
    account = _first_account(settings)
    api_key = settings.api_keys[0].get_secret_value() if settings.api_keys else None
    async with serve_stand_in(MediaHost({account.account_sid: account.basic_auth}), port=port) as stand_in:
        with Progress(Console(stderr=True), directory) as progress:
            outcomes = await replay(
                directory,
                url=url,
                public_url=public_url or settings.public_url,
                account=account,
                api_key=api_key,
                stand_in=stand_in,
                on_progress=progress.advance,
            )
    print_outcomes(outcomes, as_json=as_json)
    return all_matched(outcomes)


def _first_account(settings: Settings) -> Account:
    if not settings.accounts:
        raise ConfigurationError(
            "replay signs as your account: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN as the service has them"
        )
    return next(iter(settings.accounts.values()))
