"""GET /calls/{sid}/audio/{recording_sid}: recordings are fetched from Twilio for people who listen."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import repeat
from struct import pack

import httpx2
import pytest
from sqlalchemy import func, text, update
from starlette.types import Message

from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.operations.listening import FETCHES_AT_ONCE
from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaFile, MediaHost, ScriptedResponse
from amd_service.twilio.recordings import http_client
from amd_service.web.app import create_app
from amd_service.web.pages.byte_ranges import CHUNK_BYTES
from tests.support.app import API_KEY, TOKEN, App, make_settings, open_app
from tests.support.deliveries import deliver, recording
from tests.support.sids import ACCOUNT, CALL, OTHER_ACCOUNT, OTHER_CALL, RECORDING
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

IDLE_IN_TRANSACTION = text(
    "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"
)
AUDIO = f"/calls/{CALL}/audio/{RECORDING}"


@dataclass(frozen=True, slots=True)
class Site:
    """The service, and the simulated Twilio from which it fetches recordings."""

    service: App
    twilio: SimulatedTwilio

    async def get(self, path: str = AUDIO, **headers: str) -> httpx2.Response:
        return await self.service.client.get(path, headers={name.replace("_", "-"): v for name, v in headers.items()})

    @property
    def fetches(self) -> int:
        return len(self.twilio.media.requests)


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    account = Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": [TOKEN]})
    async with (
        serve_simulated_twilio(MediaHost({ACCOUNT: account.basic_auth})) as twilio,
        http_client(make_settings(twilio_api_url=twilio.url)) as client,
    ):
        service = open_app(database, client=client, twilio_api_url=twilio.url)
        await deliver(database, recording("completed", channels=2))
        yield Site(service, twilio)
        await service.client.aclose()
    assert twilio.media.violations == []


def stereo(seconds: float = 1.0) -> bytes:
    """Two channels with the constant values 1000 and -2000, at 8 kHz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(pack("<hh", 1000, -2000) * round(8000 * seconds))
    return out.getvalue()


def read_wav(body: bytes) -> tuple[int, int, int, bytes]:
    """Channels, bytes per sample, rate and samples of a WAV file."""
    with wave.open(io.BytesIO(body)) as file:
        return file.getnchannels(), file.getsampwidth(), file.getframerate(), file.readframes(file.getnframes())


def detail(response: httpx2.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


async def test_a_recording_is_served_as_16_bit_pcm_with_all_its_channels(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    response = await site.get()
    assert (response.status_code, response.headers["content-type"]) == (200, "audio/wav")
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["accept-ranges"] == "bytes"
    assert read_wav(response.content) == (2, 2, 8000, pack("<hh", 1000, -2000) * 8000)


async def test_one_channel_can_be_chosen(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    for channel, value in ((1, 1000), (2, -2000)):
        response = await site.get(f"{AUDIO}?channel={channel}")
        assert read_wav(response.content) == (1, 2, 8000, pack("<h", value) * 8000)
    assert site.fetches == 1


async def test_compressed_recordings_are_decoded(site: Site) -> None:
    body = b".snd" + pack(">IIIII", 24, 0xFFFFFFFF, 1, 8000, 1) + b"\xff" * 8000  # one second of mu-law silence
    site.twilio.media.files[RECORDING] = MediaFile(body, content_type="audio/basic", dual_available=True)
    assert read_wav((await site.get()).content) == (1, 2, 8000, bytes(16000))


async def test_a_mono_recording_has_no_second_channel(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(silence(), dual_available=True)
    assert (await site.get(f"{AUDIO}?channel=1")).status_code == 200
    response = await site.get(f"{AUDIO}?channel=2")
    assert (response.status_code, "has one channel" in detail(response)) == (404, True)
    assert (await site.get(f"{AUDIO}?channel=left")).status_code == 422


def silence() -> bytes:
    """One channel, one second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return out.getvalue()


async def test_a_range_of_the_body_is_served(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    whole = (await site.get()).content
    for wanted, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, 32043),
        ("bytes=-44", 32000, 32043),
        ("bytes=32000-99999", 32000, 32043),
        ("bytes=-99999", 0, 32043),
    ):
        response = await site.get(range=wanted)
        assert response.status_code == 206
        assert response.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        assert response.content == whole[first : last + 1]
    assert site.fetches == 1


async def test_many_slow_readers_of_a_long_recording_share_its_memory(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(seconds=10.0), dual_available=True)
    await site.get()
    sizes: list[int] = []

    async def send(message: Message) -> None:
        sizes.append(len(message.get("body", b"")))

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope = {
        "type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": AUDIO, "query_string": b"",
        "headers": [(b"authorization", f"Bearer {API_KEY}".encode())],
    }  # fmt: skip
    await create_app(site.service.runtime)(scope, receive, send)
    assert sum(sizes) == 44 + 320_000
    assert max(sizes) <= CHUNK_BYTES


async def test_a_range_outside_the_body_is_refused(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    for wanted in ("bytes=40000-", "bytes=-0", "bytes=32044-40000"):
        response = await site.get(range=wanted)
        assert (response.status_code, response.headers["content-range"]) == (416, "bytes */32044")


async def test_other_ranges_get_the_whole_body(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    for wanted in ("bytes=0-1,5-6", "bytes=9-5", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=" + "9" * 5000 + "-"):
        response = await site.get(range=wanted)
        assert (response.status_code, len(response.content)) == (200, 32044)


async def test_a_range_of_another_version_gets_the_whole_body(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    etag = (await site.get()).headers["etag"]
    assert (await site.get(range="bytes=0-9", if_range=etag)).status_code == 206
    assert (await site.get(range="bytes=0-9", if_range='"other"')).status_code == 200
    assert (await site.get(range="bytes=0-9", if_range="Sun, 22 Nov 2026 10:00:00 GMT")).status_code == 200


async def test_a_recording_of_another_call_is_not_served(site: Site) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)
    response = await site.get(f"/calls/{OTHER_CALL}/audio/{RECORDING}")
    assert (response.status_code, "has no recording" in detail(response), site.fetches) == (404, True, 0)


async def test_malformed_sids_are_unknown(site: Site) -> None:
    for path in ("/calls/CA1/audio/RE1", f"/calls/{CALL}/audio/{CALL}"):
        assert (await site.get(path)).status_code == 404


async def test_a_recording_that_twilio_does_not_have_is_reported(site: Site) -> None:
    response = await site.get()
    assert (response.status_code, "deleted at Twilio" in detail(response)) == (404, True)


async def test_the_reason_why_a_recording_cannot_be_played_is_told(site: Site) -> None:
    for scripted, status, words in (
        (ScriptedResponse(410), 410, "was deleted"),
        (ScriptedResponse(401), 502, "TWILIO_API_KEY"),
        (ScriptedResponse(503), 502, "try again"),
        (ScriptedResponse(302, headers={"location": "https://media.example.com/x.wav"}), 502, "outside Twilio"),
        (ScriptedResponse(200, b"<html>not audio", {"content-type": "text/html"}), 502, "cannot be played"),
    ):
        site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True, scripted=[scripted])
        response = await site.get()
        assert (response.status_code, words in detail(response)) == (status, True)


async def test_a_recording_of_an_unknown_account_names_the_account(site: Site, database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(update(Recording).values(account_sid=OTHER_ACCOUNT))
    response = await site.get()
    assert (response.status_code, OTHER_ACCOUNT in detail(response)) == (502, True)


async def test_a_recording_that_retention_deleted_is_gone(site: Site, database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(update(Recording).values(erased_at=func.now()))
    response = await site.get()
    assert (response.status_code, "AMD_DELETE_RECORDINGS" in detail(response), site.fetches) == (410, True, 0)


async def test_a_live_stream_has_no_stored_audio(site: Site, database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(update(Recording).values(source="MediaStream"))
    response = await site.get()
    assert (response.status_code, "live stream" in detail(response)) == (404, True)


async def test_only_a_few_recordings_are_fetched_at_once(site: Site, database: Database) -> None:
    sids = [f"RE{number:032x}" for number in range(FETCHES_AT_ONCE)]
    await deliver(database, *(recording("completed", sid) for sid in sids))  # type: ignore[arg-type]
    for sid in sids:
        site.twilio.media.files[sid] = MediaFile(
            lambda: [silence(), *repeat(bytes(1000), 100)], pause_s=0.05, dual_available=True
        )
    site.twilio.media.files[RECORDING] = MediaFile(stereo(), dual_available=True)

    async def are_fetched() -> bool:
        return site.fetches == FETCHES_AT_ONCE

    downloads = [asyncio.create_task(site.get(f"/calls/{CALL}/audio/{sid}")) for sid in sids]
    await until(are_fetched)
    response = await site.get()
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    for task in downloads:
        task.cancel()
    await asyncio.gather(*downloads, return_exceptions=True)
    assert (await site.get()).status_code == 200


async def test_no_transaction_is_open_during_the_download(site: Site, database: Database) -> None:
    site.twilio.media.files[RECORDING] = MediaFile(
        stereo(), dual_available=True, scripted=[ScriptedResponse(200, silent=True)]
    )

    async def is_fetched() -> bool:
        return site.fetches == 1

    download = asyncio.create_task(site.get())
    await until(is_fetched)
    async with database.transaction() as session:
        assert await session.scalar(IDLE_IN_TRANSACTION) == 0
    download.cancel()
    await asyncio.gather(download, return_exceptions=True)


async def test_access_needs_the_scope_to_read(site: Site) -> None:
    response = await site.service.client.get(AUDIO, headers={"authorization": "Bearer wrong"})
    assert response.status_code == 401
