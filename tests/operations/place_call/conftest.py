"""A simulated Twilio, and call placers that use it."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from amd_service.database.pool import Database
from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.twilio.recordings import http_client
from tests.support.call_placing import AC, TOKEN, Phone, make_phone, make_settings
from tests.support.simulated_twilio import watched_simulated_twilio


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with watched_simulated_twilio(Account.model_validate({"account_sid": AC, "auth_tokens": [TOKEN]})) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(make_settings(twilio_api_url="http://127.0.0.1:1")) as client:
        yield client


@pytest.fixture
def phone(simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database) -> Phone:
    return make_phone(simulated_twilio, client, database)
