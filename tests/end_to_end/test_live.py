"""Calls in progress, streamed to the service over WebSockets, and the verdicts of their recordings afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from secrets import token_hex
from typing import Any

import httpx2
import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from amd_service.calls.tables import BROKEN_OFF
from amd_service.database.pool import Database
from amd_service.detection.audio.decode import decode
from amd_service.domain import CallSid, RecordingSid
from amd_service.settings import RETRY_OVERRIDES
from amd_service.simulator.service_process import COMMAND, ServiceProcess
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.signed_callbacks import send_callback
from amd_service.simulator.twilio.streams import FRAME_BYTES, MediaStream, StreamResult, send_stream
from amd_service.twilio.stream_keys import stream_key
from tests.support.deliveries import call_row, recording_row, verdict_rows
from tests.support.scene import FIXTURES, Scene, read_call, until_state

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

# The verdict comes after 2 s of speech, after 5 s of speech, without speech, and from a stream that ends too early.
FOLDERS = (
    "01-human-hello", "02-human-business", "03-human-hello-twice", "07-voicemail-carrier", "08-voicemail-personal",
    "10-voicemail-hello-first", "09-voicemail-number", "21-silence", "22-beep-only", "23-under-a-second",
)  # fmt: skip
COMPARED_FIELDS = ("analysis_state", "label", "reason", "confidence")


class StreamClient:
    """Streams calls to the service like Twilio."""

    def __init__(self, scene: Scene, service: ServiceProcess) -> None:
        self.scene = scene
        self.service = service
        self.token = scene.account.auth_tokens[0].get_secret_value()

    def stream(self, folder: str, **options: Any) -> MediaStream:
        call_sid = CallSid(f"CA{token_hex(16)}")
        key = stream_key(self.scene.account.auth_tokens[0], call_sid)
        return MediaStream(
            self.scene.account.account_sid, audio_of(folder), call_sid, parameters={"key": key}, **options
        )

    @property
    def url(self) -> str:
        return self.service.url.replace("http", "ws") + "/twilio/media"

    async def play(self, stream: MediaStream) -> StreamResult:
        return await send_stream(self.url, stream, token=self.token)

    def open(self) -> connect:
        signature = RequestValidator(self.token).compute_signature(self.url, {})
        return connect(self.url, additional_headers={"X-Twilio-Signature": signature}, proxy=None)

    async def answered(self, stream: MediaStream) -> None:
        form = [
            ("AccountSid", stream.account_sid),
            ("CallSid", stream.call_sid),
            ("CallStatus", "in-progress"),
            ("SequenceNumber", "2"),
            ("Timestamp", format_datetime(datetime.now(UTC))),
        ]
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await send_callback(
                client, self.service.url, "/twilio/status", form, token=self.token, overrides=RETRY_OVERRIDES
            )
        assert answer.status == 204


def recording_of(folder: str) -> bytes:
    return (FIXTURES / folder / "recording.wav").read_bytes()


def audio_of(folder: str) -> bytes:
    """The μ-law audio of a fixture at 8 kHz, without its header."""
    recording = recording_of(folder)
    tracks = decode(recording)
    start = recording.index(b"data") + 8
    audio = recording[start : start + tracks.samples.shape[1]]
    assert tracks.encoding == "mulaw"
    return audio


@pytest.fixture
async def client(scene: Scene) -> AsyncIterator[StreamClient]:
    # With these windows, the looks at a stream are those at its recording.
    windows = {"window_ms": 2000, "long_window_ms": 5000, "long_window": "unsure"}
    async with scene.run_service((*COMMAND, "serve"), live="true", live_streams=10, threads=1, **windows) as service:
        await service.wait_until_ready()
        yield StreamClient(scene, service)


async def test_streams_get_the_verdicts_of_their_recordings(client: StreamClient, database: Database) -> None:
    """A stream in real time, ten concurrent faster streams, a broken stream, their recordings, and a shutdown."""
    await check_stream_in_real_time(client)
    calls = await check_ten_concurrent_streams(client)
    await check_broken_stream(client)
    assert {row.source for row in await verdict_rows(database)} == {"stream"}
    for folder, streamed in calls.items():
        call_sid = await client.scene.report_ended_call(
            client.service, MediaFile(recording_of(folder), content_type="audio/x-wav")
        )
        recorded = await until_state(client.service, call_sid, "judged")
        assert compared_fields(streamed) == compared_fields(recorded), folder
        assert recorded["verdict_source"] == "recording"
    await check_stream_during_shutdown(client, database)


async def check_stream_in_real_time(client: StreamClient) -> None:
    stream = client.stream("03-human-hello-twice")
    await client.answered(stream)
    played = await client.play(stream)
    call = await read_call(client.service, stream.call_sid)
    assert (call["label"], call["verdict_source"], played.close_code) == ("human", "stream", 1000)
    # Speech begins at 0.3 s. Twilio's clock counts whole seconds. The verdict must come before the end of the audio.
    # The upper limits allow for a loaded machine.
    assert played.sent < len(stream.audio) // FRAME_BYTES
    assert 2.3 < played.lasted_s < 10
    assert 2300 - 1000 < call["answer_to_verdict_ms"] < 11_000
    assert 2300 < call["verdict_ms"] < 10_000


async def check_ten_concurrent_streams(client: StreamClient) -> dict[str, dict[str, Any]]:
    streams = {folder: client.stream(folder, pace=8.0) for folder in FOLDERS}
    assert len(streams) == 10
    played = await asyncio.gather(*(client.play(stream) for stream in streams.values()))
    assert {each.close_code for each in played} == {1000}
    return {folder: await read_call(client.service, stream.call_sid) for folder, stream in streams.items()}


async def check_broken_stream(client: StreamClient) -> None:
    stream = client.stream("03-human-hello-twice", pace=None, cut_after=40)
    await client.play(stream)
    call = await until_state(client.service, stream.call_sid, "judged")
    assert (call["label"], call["reason"], call["confidence"]) == ("undecided", "too_short", None)
    # Only the stream ended early, not the call, so a later verdict replaces this verdict.
    repeated = replace(stream, stream_sid="MZ" + "7" * 32, cut_after=None)
    await client.play(repeated)
    assert (await read_call(client.service, stream.call_sid))["label"] == "human"


async def check_stream_during_shutdown(client: StreamClient, database: Database) -> None:
    """A shutdown while the called party speaks, before the verdict."""
    stream = client.stream("03-human-hello-twice", cut_after=90)
    async with client.open() as connection:
        for message in (stream.start(), *map(stream.media, stream.chunks())):
            await connection.send(json.dumps(message))
        await (await connection.ping())  # the pong comes after the service has read all earlier messages
        client.service.process.terminate()
        await connection.wait_closed()
    assert connection.close_code == 1012
    assert await client.service.process.wait() == 0
    call = await call_row(database, CallSid(stream.call_sid))
    assert (call.label, call.reason) == ("human", "confident")
    recording = await recording_row(database, RecordingSid(stream.stream_sid))
    assert (recording.state, recording.recording_status) == ("done", BROKEN_OFF)


def compared_fields(call: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(call[name] for name in COMPARED_FIELDS)
