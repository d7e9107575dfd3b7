"""A simulated Twilio that validates each request against Twilio's own description, and a client for it."""

from collections.abc import AsyncIterator

import pytest

from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import SimulatedCall, SimulatedRecording, now
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from tests.support.rest import AC, ACCOUNT, CA, RE, settings
from tests.support.simulated_twilio import watched_simulated_twilio


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with watched_simulated_twilio(ACCOUNT) as running:
        call = running.rest.add(SimulatedCall(account_sid=AC, sid=CA, status="in-progress", started_at=now()))
        call.recordings.append(SimulatedRecording(call_sid=CA, sid=RE))
        running.media.files[RE] = MediaFile(b"RIFF")
        yield running


@pytest.fixture
async def rest(simulated_twilio: SimulatedTwilio) -> AsyncIterator[RestClient]:
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        yield RestClient(client, configured)
