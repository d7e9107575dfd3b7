"""A simulated Twilio that fails the test after a request that violates Twilio's API description."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.rest_api import RestApi
from tests.twilio.openapi.description import twilio_description


@asynccontextmanager
async def watched_simulated_twilio(*accounts: Account) -> AsyncIterator[SimulatedTwilio]:
    """A simulated Twilio with these accounts. Fails at the end if a request violated Twilio's API description."""
    media = MediaHost({account.account_sid: account.basic_auth for account in accounts})
    rest = RestApi(media, check=twilio_description().violations)
    async with serve_simulated_twilio(media, rest=rest) as simulated_twilio:
        yield simulated_twilio
        assert media.violations == []
