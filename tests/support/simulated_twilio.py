"""The stand-in for Twilio, watched: a request that Twilio's own description does not know fails the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.rest_api import RestApi
from tests.twilio.openapi.description import twilio_description


@asynccontextmanager
async def watched_simulated_twilio(*accounts: Account) -> AsyncIterator[SimulatedTwilio]:
    """A stand-in that knows these accounts. At the end, no request may have been against Twilio's rules."""
    media = MediaHost({account.account_sid: account.basic_auth for account in accounts})
    rest = RestApi(media, check=twilio_description().violations)
    async with serve_simulated_twilio(media, rest=rest) as simulated_twilio:
        yield simulated_twilio
        assert media.violations == []
