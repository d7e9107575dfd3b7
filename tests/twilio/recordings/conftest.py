"""A simulated Twilio that serves recordings over real sockets."""

from collections.abc import AsyncIterator

import pytest

from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from tests.support.recordings import AC, ACCOUNT


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with serve_simulated_twilio(MediaHost({AC: ACCOUNT.basic_auth})) as running:
        yield running
    assert running.media.violations == []
