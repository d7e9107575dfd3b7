"""Redirects are followed within Twilio only, and credentials stay at the API origin."""

import asyncio
from contextlib import suppress

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from amd_service.domain import Failure
from amd_service.errors import AmdError, MediaRefused, TwilioUnavailable
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaFile, MediaHost, ScriptedResponse
from tests.support.recordings import API, CREDENTIALS, RE, WAV, Log, fetch, fetch_from, ok, redirect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["mms.twiliocdn.com", "media.twilio.com", "api.twilio.com:8443"])
async def test_a_redirect_to_another_twilio_host_is_followed_without_credentials(host: str) -> None:
    log = Log(redirect(f"https://{host}/x?signed=1"), ok())
    assert (await fetch(log)).data == WAV
    assert log.requests == [(f"{API}.wav", CREDENTIALS), (f"https://{host}/x?signed=1", None)]


async def test_a_redirect_within_the_api_keeps_the_credentials() -> None:
    log = Log(redirect("/elsewhere"), ok())
    await fetch(log)
    assert log.requests[1] == ("https://api.twilio.com/elsewhere", CREDENTIALS)


async def test_dropped_credentials_are_not_sent_to_later_hops() -> None:
    log = Log(redirect("https://x.twiliocdn.com/"), redirect("https://api.twilio.com/"), ok())
    await fetch(log)
    assert [authorization for _, authorization in log.requests] == [CREDENTIALS, None, None]


@pytest.mark.parametrize(
    "location",
    [
        "https://bucket.s3.amazonaws.com/RE",
        "https://eviltwilio.com/",
        "https://api.twilio.com.evil.example/",
        "https://user:password@media.twilio.com/",
        "http://api.twilio.com/plain",
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::1]/",
        "http://127.0.0.1:8080/",
        "https://localhost/",
        "file:///etc/passwd",
        "//evil.example/",
    ],
)
async def test_a_redirect_out_of_twilio_is_not_followed(location: str) -> None:
    log = Log(redirect(location))
    with pytest.raises(MediaRefused) as raised:
        await fetch(log)
    assert raised.value.failure == Failure.EXTERNAL_STORAGE
    assert len(log.requests) == 1


async def test_an_invalid_redirect_is_an_outage() -> None:
    with pytest.raises(TwilioUnavailable):
        await fetch(Log(redirect("https://media.twilio.com:port/")))


@hypothesis_settings(deadline=None)
@given(location=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40))
def test_no_redirect_sends_credentials_outside_the_api(location: str) -> None:
    log = Log(httpx2.Response(302, headers=[(b"location", location.encode("latin-1"))]), ok())
    with suppress(AmdError):
        asyncio.run(fetch(log))
    for url, authorization in log.requests:
        assert authorization is None or url.startswith("https://api.twilio.com/")


async def test_redirects_are_limited() -> None:
    log = Log(*(redirect("/again") for _ in range(9)))
    with pytest.raises(TwilioUnavailable, match="redirects"):
        await fetch(log)
    assert len(log.requests) == 4


async def test_a_403_from_the_cdn_is_not_a_credentials_error() -> None:
    with pytest.raises(TwilioUnavailable):
        await fetch(Log(redirect("https://x.twiliocdn.com/"), httpx2.Response(403)))


async def test_a_redirect_to_another_port_gets_no_credentials(simulated_twilio: SimulatedTwilio) -> None:
    async with serve_simulated_twilio(MediaHost({})) as cdn:
        cdn.media.files[RE] = MediaFile(WAV)
        simulated_twilio.media.files[RE] = MediaFile(
            b"", scripted=[ScriptedResponse(302, headers={"location": f"{cdn.url}/cdn/{RE}.wav"})]
        )
        assert (await fetch_from(simulated_twilio)).data == WAV
        assert cdn.media.violations == []
        assert [seen.with_credentials for seen in cdn.media.requests] == [False]
