"""A simulated Twilio and an HTTP client for workers."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from tests.support.sids import ACCOUNT
from tests.support.simulated_twilio import watched_simulated_twilio


@pytest.fixture
def finish() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def twilio() -> AsyncIterator[SimulatedTwilio]:
    async with watched_simulated_twilio(
        Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})
    ) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        yield client
