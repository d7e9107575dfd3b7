"""The error for each response of the media host."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from amd_service.domain import Failure
from amd_service.errors import (
    AmdError,
    MediaIncomplete,
    MediaNotYet,
    MediaRefused,
    Permanent,
    Retryable,
    TwilioUnavailable,
)
from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.twilio.recordings import Recordings, http_client
from tests.support.recordings import AC, API, NEVER_ENOUGH, RE, WAV, Endless, Log, fetch, metadata, ok, settings

pytestmark = pytest.mark.anyio


async def test_partial_content_is_accepted() -> None:
    assert (await fetch(Log(httpx2.Response(206, content=WAV)))).data == WAV


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (401, MediaRefused, Failure.UNAUTHORISED),
        (403, MediaRefused, Failure.UNAUTHORISED),
        (410, MediaRefused, Failure.MEDIA_MISSING),
        (400, TwilioUnavailable, Failure.GAVE_UP),
        (429, TwilioUnavailable, Failure.GAVE_UP),
        (500, TwilioUnavailable, Failure.GAVE_UP),
        (503, TwilioUnavailable, Failure.GAVE_UP),
        (304, TwilioUnavailable, Failure.GAVE_UP),
    ],
)
async def test_each_status_raises_its_error(status: int, error: type[AmdError], failure: Failure) -> None:
    with pytest.raises(error) as raised:
        await fetch(Log(httpx2.Response(status)))
    assert isinstance(raised.value, Permanent | Retryable)
    assert raised.value.failure == failure


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_part_of_the_error(status: int) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    for header, minimum_s, maximum_s in [
        ("7", 7, 7),
        (soon, 25, 30),
        ("9" * 400, 3600, 3600),
        ("-5", None, None),
        ("?", None, None),
    ]:
        with pytest.raises(TwilioUnavailable) as raised:
            await fetch(Log(httpx2.Response(status, headers={"retry-after": header})))
        wait_s = raised.value.retry_after_s
        if minimum_s is None or maximum_s is None:
            assert wait_s is None
        else:
            assert wait_s is not None
            assert minimum_s <= wait_s <= maximum_s


async def test_a_404_means_that_the_media_is_not_ready() -> None:
    log = Log(httpx2.Response(404, content=b"<x/>"), metadata())
    with pytest.raises(MediaNotYet):
        await fetch(log)
    assert log.urls == [f"{API}.wav", f"{API}.json"]


@pytest.mark.parametrize("response", [httpx2.Response(404), httpx2.Response(200, content=b"[" * 60_000), ok(b"7")])
async def test_a_404_with_unreadable_metadata_means_that_the_media_is_not_ready(response: httpx2.Response) -> None:
    with pytest.raises(MediaNotYet):
        await fetch(Log(httpx2.Response(404), response))


async def test_external_storage_is_named_in_the_error() -> None:
    bucket = "https://bucket.s3.amazonaws.com/AC/RE"
    with pytest.raises(MediaRefused, match=r"bucket\.s3\.amazonaws\.com") as raised:
        await fetch(Log(httpx2.Response(404), metadata(media_url=bucket)))
    assert raised.value.failure == Failure.EXTERNAL_STORAGE


async def test_a_compressed_recording_is_not_complete() -> None:
    with pytest.raises(MediaIncomplete, match="gzip") as raised:
        await fetch(Log(httpx2.Response(200, stream=Endless(b""), headers={"content-encoding": "gzip"})))
    assert raised.value.failure == Failure.UNDECODABLE


async def test_a_compressed_error_page_does_not_hide_the_status() -> None:
    page = httpx2.Response(404, stream=Endless(b""), headers={"content-encoding": "gzip"})
    with pytest.raises(MediaNotYet):
        await fetch(Log(page, metadata()))


async def test_a_part_that_does_not_start_at_the_beginning_is_not_complete() -> None:
    for part, is_beginning in (("bytes 0-2015/4000", True), ("bytes 2000-4015/4016", False), ("bytes */4016", False)):
        response = httpx2.Response(206, content=WAV, headers={"content-range": part})
        if is_beginning:
            assert (await fetch(Log(response))).data == WAV
        else:
            with pytest.raises(MediaIncomplete, match="later part"):
                await fetch(Log(response))


async def test_wrong_credentials_are_unauthorised(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(WAV)
    other = Account.model_validate({"account_sid": AC, "auth_tokens": ["wrong"]})
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        with pytest.raises(MediaRefused) as raised:
            await Recordings(client, configured).fetch(other, RE, prefer_dual=False, rules=NEVER_ENOUGH)
    assert raised.value.failure == Failure.UNAUTHORISED
