import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import repeat
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from amd_service.domain import AccountSid, Failure, RecordingSid
from amd_service.errors import AmdError, MediaNotYet, MediaRefused, Permanent, Retryable, TwilioUnavailable
from amd_service.lab.stand_in.media_host import NOT_FOUND, Answer, MediaHost, Reel
from amd_service.lab.stand_in.server import StandIn, serve_stand_in
from amd_service.settings import Account, Settings
from amd_service.twilio.recordings import Media, Recordings, Rules, http_client

pytestmark = pytest.mark.anyio

AC = AccountSid("AC" + "a" * 32)
RE = RecordingSid("RE" + "2" * 32)
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"], "api_key": "SKkey", "api_secret": "shh"})
WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(2000)
API = f"https://api.twilio.com/2010-04-01/Accounts/{AC}/Recordings/{RE}"
CREDENTIALS = "Basic " + b64encode(b"SKkey:shh").decode()

Handler = Callable[[httpx2.Request], httpx2.Response]


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def never(_prefix: bytes) -> bool:
    return False


def is_riff(prefix: bytes, _content_type: str | None) -> bool:
    return prefix.startswith(b"RIFF")


NEVER_ENOUGH = Rules(is_riff, never)


async def fetch(
    handler: Handler,
    *,
    want_dual: bool = False,
    enough: Callable[[bytes], bool] = never,
    configured: Settings | None = None,
) -> Media:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(handler)) as client:
        recordings = Recordings(client, configured or settings())
        return await recordings.fetch(ACCOUNT, RE, want_dual=want_dual, rules=Rules(is_riff, enough))


async def fetch_from(
    stand_in: StandIn, *, want_dual: bool = False, enough: Callable[[bytes], bool] = never, **given: Any
) -> Media:
    configured = settings(twilio_api_url=stand_in.url, **given)
    async with http_client(configured) as client:
        return await Recordings(client, configured).fetch(
            ACCOUNT, RE, want_dual=want_dual, rules=Rules(is_riff, enough)
        )


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with serve_stand_in(MediaHost({AC: ACCOUNT.basic_auth})) as running:
        yield running
    assert running.media.violations == []


class Log:
    """A handler with memory: each request's URL and Authorization."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self._answers = list(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append((str(request.url), request.headers.get("authorization")))
        return self._answers.pop(0)

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.requests]


def ok(body: bytes = WAV, content_type: str = "audio/x-wav") -> httpx2.Response:
    return httpx2.Response(200, content=body, headers={"content-type": content_type})


def metadata(**fields: object) -> httpx2.Response:
    return httpx2.Response(200, json={"media_url": API, "encryption_details": None} | fields)


def redirect(location: str) -> httpx2.Response:
    return httpx2.Response(302, headers={"location": location})


async def test_the_recording_is_asked_for_by_its_sids_with_the_api_key() -> None:
    log = Log(ok())
    assert await fetch(log) == Media(WAV, "audio/x-wav", complete=True)
    assert log.requests == [(f"{API}.wav", CREDENTIALS)]


async def test_an_ill_formed_sid_is_never_put_into_a_url() -> None:
    log = Log()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(log)) as client:
        with pytest.raises(ValueError, match="RE followed by"):
            await Recordings(client, settings()).fetch(
                ACCOUNT, RecordingSid("RE/../../x"), want_dual=False, rules=NEVER_ENOUGH
            )
    assert log.requests == []


async def test_both_channels_are_asked_for_and_one_is_taken_when_there_is_one() -> None:
    log = Log(httpx2.Response(400), ok())
    assert (await fetch(log, want_dual=True)).data == WAV
    assert log.urls == [f"{API}.wav?RequestedChannels=2", f"{API}.wav"]


async def test_partial_content_is_content() -> None:
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
async def test_each_status_ends_as_its_own_error(status: int, error: type[AmdError], failure: Failure) -> None:
    with pytest.raises(error) as raised:
        await fetch(Log(httpx2.Response(status)))
    assert isinstance(raised.value, Permanent | Retryable)
    assert raised.value.failure == failure


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_passed_on(status: int) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    for header, least, most in [
        ("7", 7, 7),
        (soon, 25, 30),
        ("9" * 400, 3600, 3600),
        ("-5", None, None),
        ("?", None, None),
    ]:
        with pytest.raises(TwilioUnavailable) as raised:
            await fetch(Log(httpx2.Response(status, headers={"retry-after": header})))
        asked = raised.value.retry_after_s
        assert (asked is None) if least is None or most is None else (asked is not None and least <= asked <= most)


async def test_media_that_is_not_there_yet_may_come() -> None:
    log = Log(httpx2.Response(404, content=b"<x/>"), metadata())
    with pytest.raises(MediaNotYet):
        await fetch(log)
    assert log.urls == [f"{API}.wav", f"{API}.json"]


@pytest.mark.parametrize("answer", [httpx2.Response(404), httpx2.Response(200, content=b"[" * 60_000), ok(b"7")])
async def test_media_without_readable_metadata_may_come_too(answer: httpx2.Response) -> None:
    with pytest.raises(MediaNotYet):
        await fetch(Log(httpx2.Response(404), answer))


async def test_media_in_a_bucket_of_the_customer_is_named_so() -> None:
    bucket = "https://bucket.s3.amazonaws.com/AC/RE"
    with pytest.raises(MediaRefused, match=r"bucket\.s3\.amazonaws\.com") as raised:
        await fetch(Log(httpx2.Response(404), metadata(media_url=bucket)))
    assert raised.value.failure == Failure.EXTERNAL_STORAGE


async def test_ciphertext_is_recognised_by_its_metadata() -> None:
    log = Log(
        ok(bytes(range(1, 200)), "application/octet-stream"), metadata(encryption_details={"encryption_cek": "…"})
    )
    with pytest.raises(MediaRefused) as raised:
        await fetch(log)
    assert raised.value.failure == Failure.ENCRYPTED


async def test_an_hour_of_ciphertext_is_not_read_to_its_end() -> None:
    body = Endless(b"\x01" * 16_384)
    details = metadata(encryption_details={"encryption_cek": "…"})
    with pytest.raises(MediaRefused):
        await fetch(Log(httpx2.Response(200, stream=body), details))
    assert body.given <= 128 * 1024


async def test_unknown_bytes_are_left_to_the_decoder() -> None:
    strange = b"\x00\x01strange"
    assert (await fetch(Log(ok(strange, "application/octet-stream"), metadata()))).data == strange


async def test_a_page_in_place_of_audio_is_read_no_further_and_left_to_the_decoder() -> None:
    body = Endless(b"<html>" + b" " * 16_378)
    page = httpx2.Response(200, stream=body, headers={"content-type": "audio/x-wav"})
    assert not (await fetch(Log(page, metadata()))).complete
    assert body.given <= 128 * 1024


async def test_whether_it_is_audio_is_asked_with_its_declaration() -> None:
    asked: list[tuple[bytes, str | None]] = []

    def known(prefix: bytes, content_type: str | None) -> bool:
        asked.append((prefix, content_type))
        return True

    log = Log(ok(b"\x7f" * 800, "audio/x-mulaw;rate=8000"))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(log)) as client:
        await Recordings(client, settings()).fetch(ACCOUNT, RE, want_dual=False, rules=Rules(known, never))
    assert asked == [(b"\x7f" * 800, "audio/x-mulaw;rate=8000")]
    assert log.urls == [f"{API}.wav"]


@pytest.mark.parametrize("host", ["mms.twiliocdn.com", "media.twilio.com", "api.twilio.com:8443"])
async def test_a_redirect_to_another_host_of_twilio_is_followed_without_credentials(host: str) -> None:
    log = Log(redirect(f"https://{host}/x?signed=1"), ok())
    assert (await fetch(log)).data == WAV
    assert log.requests == [(f"{API}.wav", CREDENTIALS), (f"https://{host}/x?signed=1", None)]


async def test_a_redirect_within_the_api_keeps_the_credentials() -> None:
    log = Log(redirect("/elsewhere"), ok())
    await fetch(log)
    assert log.requests[1] == ("https://api.twilio.com/elsewhere", CREDENTIALS)


async def test_credentials_once_dropped_stay_dropped() -> None:
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


async def test_a_redirect_to_nonsense_is_an_outage() -> None:
    with pytest.raises(TwilioUnavailable):
        await fetch(Log(redirect("https://media.twilio.com:port/")))


@hypothesis_settings(deadline=None)
@given(location=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40))
def test_wherever_a_redirect_leads_credentials_do_not_follow(location: str) -> None:
    log = Log(httpx2.Response(302, headers=[(b"location", location.encode("latin-1"))]), ok())
    with suppress(AmdError):
        asyncio.run(fetch(log))
    for url, authorization in log.requests:
        assert authorization is None or url.startswith("https://api.twilio.com/")


async def test_redirects_come_to_an_end() -> None:
    log = Log(*(redirect("/again") for _ in range(9)))
    with pytest.raises(TwilioUnavailable, match="redirects"):
        await fetch(log)
    assert len(log.requests) == 4


async def test_an_expired_link_of_the_cdn_is_not_blamed_on_our_credentials() -> None:
    with pytest.raises(TwilioUnavailable):
        await fetch(Log(redirect("https://x.twiliocdn.com/"), httpx2.Response(403)))


async def test_a_compressed_answer_is_not_unpacked() -> None:
    with pytest.raises(TwilioUnavailable, match="gzip"):
        await fetch(Log(httpx2.Response(200, stream=Endless(b""), headers={"content-encoding": "gzip"})))


class Endless(httpx2.AsyncByteStream):
    """A body that goes on for an hour of dual 16-bit PCM at 8 kHz and counts what was taken."""

    def __init__(self, chunk: bytes) -> None:
        self.given = 0
        self._chunk = chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._chunk and self.given < 3600 * 32_000:
            self.given += len(self._chunk)
            yield self._chunk


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


async def test_a_real_host_stops_sending_when_we_have_enough(stand_in: StandIn) -> None:
    def hour() -> Iterator[bytes]:
        yield WAV
        yield from repeat(bytes(16_384), 3600 * 32_000 // 16_384)

    stand_in.media.reels[RE] = Reel(hour, dual_available=True, pause_s=0.001)
    media = await fetch_from(stand_in, want_dual=True, enough=lambda prefix: len(prefix) >= 200_000)
    assert len(media.data) < 400_000
    assert stand_in.media.requests[0].sent_bytes < 1_000_000


async def test_connections_are_used_again(stand_in: StandIn) -> None:
    stand_in.media.reels[RE] = Reel(WAV, first=[Answer(400, b"no"), NOT_FOUND])
    configured = settings(twilio_api_url=stand_in.url)
    async with http_client(configured) as client:
        recordings = Recordings(client, configured)
        with pytest.raises(MediaNotYet):
            await recordings.fetch(ACCOUNT, RE, want_dual=True, rules=NEVER_ENOUGH)
        await recordings.fetch(ACCOUNT, RE, want_dual=True, rules=NEVER_ENOUGH)
    assert len(stand_in.media.requests) == 5
    assert len({seen.peer for seen in stand_in.media.requests}) == 1


async def test_wrong_credentials_are_unauthorised(stand_in: StandIn) -> None:
    stand_in.media.reels[RE] = Reel(WAV)
    other = Account.model_validate({"account_sid": AC, "auth_tokens": ["wrong"]})
    configured = settings(twilio_api_url=stand_in.url)
    async with http_client(configured) as client:
        with pytest.raises(MediaRefused) as raised:
            await Recordings(client, configured).fetch(other, RE, want_dual=False, rules=NEVER_ENOUGH)
    assert raised.value.failure == Failure.UNAUTHORISED


async def test_a_redirect_to_another_port_gets_no_credentials(stand_in: StandIn) -> None:
    async with serve_stand_in(MediaHost({})) as cdn:
        cdn.media.reels[RE] = Reel(WAV)
        stand_in.media.reels[RE] = Reel(b"", first=[Answer(302, headers={"location": f"{cdn.url}/cdn/{RE}.wav"})])
        assert (await fetch_from(stand_in)).data == WAV
        assert cdn.media.violations == []
        assert [seen.with_credentials for seen in cdn.media.requests] == [False]


async def test_a_connection_cut_short_of_its_length_is_an_outage(stand_in: StandIn) -> None:
    stand_in.media.reels[RE] = Reel(WAV, declared_bytes=len(WAV) * 2)
    with pytest.raises(TwilioUnavailable):
        await fetch_from(stand_in)


async def test_a_cut_after_enough_does_not_matter(stand_in: StandIn) -> None:
    stand_in.media.reels[RE] = Reel(WAV, declared_bytes=len(WAV) * 2)
    assert await fetch_from(stand_in, enough=lambda prefix: len(prefix) > 1000) == Media(WAV, "audio/x-wav", False)


@pytest.mark.parametrize("limit", ["media_read_timeout_s", "media_total_timeout_s"])
async def test_a_host_that_stalls_is_an_outage(stand_in: StandIn, limit: str) -> None:
    stand_in.media.reels[RE] = Reel(bytes(100_000), pause_s=30)
    limits: dict[str, Any] = {limit: 0.05}
    with pytest.raises(TwilioUnavailable):
        await fetch_from(stand_in, **limits)


async def test_a_slow_drip_ends_at_the_total_time_out(stand_in: StandIn) -> None:
    stand_in.media.reels[RE] = Reel(lambda: repeat(b"RIFF", 100_000), pause_s=0.01)
    with pytest.raises(TwilioUnavailable, match="longer than"):
        await fetch_from(stand_in, media_total_timeout_s=0.3)


async def test_nobody_listening_is_an_outage() -> None:
    async with serve_stand_in(MediaHost({})) as gone:
        pass
    with pytest.raises(TwilioUnavailable):
        await fetch_from(gone)


async def test_cancelling_a_fetch_is_not_an_outage(stand_in: StandIn) -> None:
    stand_in.media.reels[RE] = Reel(lambda: repeat(b"RIFF", 100_000), pause_s=0.01)
    task = asyncio.create_task(fetch_from(stand_in))
    while not stand_in.media.requests:  # noqa: ASYNC110 - the server runs in this very loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
