"""A simulated Twilio."""

from collections.abc import AsyncIterator

import pytest

from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from tests.support.sids import ACCOUNT
from tests.support.simulated_twilio import watched_simulated_twilio


@pytest.fixture
async def twilio() -> AsyncIterator[SimulatedTwilio]:
    account = Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})
    async with watched_simulated_twilio(account) as running:
        yield running
