"""Tests with real processes: Postgres, the service, workers, and a simulated Twilio."""

from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from amd_service.simulator.twilio.resources import make_account
from tests.support.scene import Scene
from tests.support.simulated_twilio import watched_simulated_twilio


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    account = make_account()
    async with watched_simulated_twilio(account) as simulated_twilio:
        yield Scene(database.url, simulated_twilio, account)
