"""Broken connections, stalls, timeouts, refused connections and cancellation."""

import asyncio
from itertools import repeat
from typing import Any

import pytest

from amd_service.errors import TwilioUnavailable
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaFile, MediaHost
from tests.support.recordings import RE, WAV, fetch_from

pytestmark = pytest.mark.anyio


async def test_a_truncated_response_is_an_outage(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(WAV, declared_bytes=len(WAV) * 2)
    with pytest.raises(TwilioUnavailable):
        await fetch_from(simulated_twilio)


@pytest.mark.parametrize("limit", ["media_read_timeout_s", "media_first_timeout_s", "media_total_timeout_s"])
async def test_a_stalled_download_is_an_outage(simulated_twilio: SimulatedTwilio, limit: str) -> None:
    simulated_twilio.media.files[RE] = MediaFile(bytes(100_000), pause_s=30)
    limits: dict[str, Any] = {limit: 0.05}
    with pytest.raises(TwilioUnavailable):
        await fetch_from(simulated_twilio, **limits)


async def test_a_slow_download_ends_at_the_total_timeout(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(lambda: repeat(b"RIFF", 100_000), pause_s=0.01)
    with pytest.raises(TwilioUnavailable, match="longer than"):
        await fetch_from(simulated_twilio, media_total_timeout_s=0.3)


async def test_a_refused_connection_is_an_outage() -> None:
    async with serve_simulated_twilio(MediaHost({})) as gone:
        pass
    with pytest.raises(TwilioUnavailable):
        await fetch_from(gone)


async def test_a_cancelled_download_raises_cancelled_error(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(lambda: repeat(b"RIFF", 100_000), pause_s=0.01)
    task = asyncio.create_task(fetch_from(simulated_twilio))
    while not simulated_twilio.media.requests:  # noqa: ASYNC110 - the server runs in the same loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
