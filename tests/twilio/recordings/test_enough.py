"""No more is fetched than is enough."""

from collections.abc import Iterator
from itertools import repeat

import httpx2
import pytest

from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.twilio.recordings import Media
from tests.support.recordings import RE, WAV, Endless, Log, fetch, fetch_from, settings

pytestmark = pytest.mark.anyio


async def test_an_hour_costs_no_more_than_what_is_enough() -> None:
    body = Endless(b"RIFF" + bytes(16_380))
    media = await fetch(Log(httpx2.Response(200, stream=body)), enough=lambda prefix: len(prefix) >= 20 * 32_000)
    assert 640_000 <= len(media.data) < 1_000_000
    assert body.given < 1_000_000
    assert not media.complete


async def test_the_byte_cap_ends_a_download_without_an_error() -> None:
    body = Endless(b"RIFF" + bytes(16_380))
    media = await fetch(Log(httpx2.Response(200, stream=body)), configured=settings(media_max_bytes=100_000))
    assert (len(media.data), media.complete) == (100_000, False)
    assert body.given < 120_000


async def test_the_rule_for_enough_is_asked_rarely() -> None:
    asked: list[int] = []

    def enough(prefix: bytes) -> bool:
        asked.append(len(prefix))
        return False

    await fetch(Log(httpx2.Response(200, stream=Endless(b"RIFF" + bytes(1020)))), enough=enough)
    assert sum(asked) < 8 * 8 * 1024 * 1024  # all prefixes together: a few times the cap, not its square


async def test_a_real_host_stops_sending_when_we_have_enough(simulated_twilio: SimulatedTwilio) -> None:
    def hour() -> Iterator[bytes]:
        yield WAV
        yield from repeat(bytes(16_384), 3600 * 32_000 // 16_384)

    simulated_twilio.media.files[RE] = MediaFile(hour, dual_available=True, pause_s=0.001)
    media = await fetch_from(simulated_twilio, prefer_dual=True, enough=lambda prefix: len(prefix) >= 200_000)
    assert len(media.data) < 400_000
    assert simulated_twilio.media.requests[0].sent_bytes < 1_000_000


async def test_a_cut_after_enough_does_not_matter(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(WAV, declared_bytes=len(WAV) * 2)
    assert await fetch_from(simulated_twilio, enough=lambda prefix: len(prefix) > 1000) == Media(
        WAV, "audio/x-wav", False
    )
