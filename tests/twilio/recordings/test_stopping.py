"""A download stops as soon as there is enough audio."""

from collections.abc import Iterator
from itertools import repeat

import httpx2
import pytest

from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.twilio.recordings import Media
from tests.support.recordings import RE, WAV, Endless, Log, fetch, fetch_from, settings

pytestmark = pytest.mark.anyio


async def test_a_long_recording_is_downloaded_only_until_there_is_enough_audio() -> None:
    body = Endless(b"RIFF" + bytes(16_380))
    media = await fetch(Log(httpx2.Response(200, stream=body)), enough=lambda prefix: len(prefix) >= 20 * 32_000)
    assert 640_000 <= len(media.data) < 1_000_000
    assert body.given < 1_000_000
    assert not media.complete


async def test_the_size_limit_ends_a_download_without_an_error() -> None:
    body = Endless(b"RIFF" + bytes(16_380))
    media = await fetch(Log(httpx2.Response(200, stream=body)), configured=settings(media_max_bytes=100_000))
    assert (len(media.data), media.complete) == (100_000, False)
    assert body.given < 120_000


async def test_the_enough_rule_is_called_rarely() -> None:
    prefix_lengths: list[int] = []

    def enough(prefix: bytes) -> bool:
        prefix_lengths.append(len(prefix))
        return False

    await fetch(Log(httpx2.Response(200, stream=Endless(b"RIFF" + bytes(1020)))), enough=enough)
    assert sum(prefix_lengths) < 8 * 8 * 1024 * 1024  # linear in the size limit, not quadratic


async def test_a_server_stops_sending_after_enough_audio(simulated_twilio: SimulatedTwilio) -> None:
    def hour() -> Iterator[bytes]:
        yield WAV
        yield from repeat(bytes(16_384), 3600 * 32_000 // 16_384)

    simulated_twilio.media.files[RE] = MediaFile(hour, dual_available=True, pause_s=0.001)
    media = await fetch_from(simulated_twilio, prefer_dual=True, enough=lambda prefix: len(prefix) >= 200_000)
    assert len(media.data) < 400_000
    assert simulated_twilio.media.requests[0].sent_bytes < 1_000_000


async def test_a_broken_connection_after_enough_audio_is_no_error(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(WAV, declared_bytes=len(WAV) * 2)
    assert await fetch_from(simulated_twilio, enough=lambda prefix: len(prefix) > 1000) == Media(
        WAV, "audio/x-wav", False
    )
