"""A simulated Twilio. A violation fails the test."""

from collections.abc import AsyncIterator

import pytest

from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from tests.support.stub_service import ACCOUNT


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with serve_simulated_twilio(MediaHost({ACCOUNT.account_sid: ACCOUNT.basic_auth})) as running:
        yield running
    assert running.media.violations == []
