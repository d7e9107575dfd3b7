"""The requests of a download."""

import httpx2
import pytest

from amd_service.domain import RecordingSid
from amd_service.errors import MediaNotYet
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import NOT_FOUND, MediaFile, ScriptedResponse
from amd_service.twilio.recordings import Media, Recordings, http_client
from tests.support.recordings import ACCOUNT, API, CREDENTIALS, NEVER_ENOUGH, RE, WAV, Log, fetch, ok, settings

pytestmark = pytest.mark.anyio


async def test_the_url_is_built_from_sids_and_sent_with_the_api_key() -> None:
    log = Log(ok())
    assert await fetch(log) == Media(WAV, "audio/x-wav", complete=True)
    assert log.requests == [(f"{API}.wav", CREDENTIALS)]


async def test_an_invalid_sid_never_becomes_a_url() -> None:
    log = Log()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(log)) as client:
        with pytest.raises(ValueError, match="RE followed by"):
            await Recordings(client, settings()).fetch(
                ACCOUNT, RecordingSid("RE/../../x"), prefer_dual=False, rules=NEVER_ENOUGH
            )
    assert log.requests == []


async def test_a_dual_request_falls_back_to_one_channel() -> None:
    log = Log(httpx2.Response(400), ok())
    assert (await fetch(log, prefer_dual=True)).data == WAV
    assert log.urls == [f"{API}.wav?RequestedChannels=2", f"{API}.wav"]


async def test_connections_are_reused(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(WAV, scripted=[ScriptedResponse(400, b"no"), NOT_FOUND])
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        recordings = Recordings(client, configured)
        with pytest.raises(MediaNotYet):
            await recordings.fetch(ACCOUNT, RE, prefer_dual=True, rules=NEVER_ENOUGH)
        await recordings.fetch(ACCOUNT, RE, prefer_dual=True, rules=NEVER_ENOUGH)
    assert len(simulated_twilio.media.requests) == 5
    assert len({seen.peer for seen in simulated_twilio.media.requests}) == 1
