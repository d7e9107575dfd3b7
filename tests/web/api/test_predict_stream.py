"""POST /predict-stream."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.web.app import create_app
from tests.support.app import API_KEY, App, open_app
from tests.support.detectors import ready, speech
from tests.support.fixture_calls import HUMAN, SILENCE, VOICEMAIL, samples_of
from tests.support.models import StubEngine
from tests.support.signals import file_of, silence, through_mulaw
from tests.support.streamed_bodies import LONG, WAV, every, pieces

pytestmark = pytest.mark.anyio

MULAW = {"content-type": "audio/x-mulaw;rate=8000"}

Line = dict[str, Any]


async def stream(service: App, body: bytes, *, headers: dict[str, str] = WAV, size: int = 1600) -> list[Line]:
    """Send `body` in chunks of `size` bytes. Returns the lines of the response."""
    response = await service.client.post("/predict-stream", content=pieces(body, every(size, body)), headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def verdict_of(response: Line) -> Line:
    """The fields that are equal in two responses on the same audio."""
    return {name: value for name, value in response.items() if name not in ("processing_time_ms", *STREAM_ONLY)}


STREAM_ONLY = ("provisional", "speech_ms", "scored")


async def test_verdicts_are_sent_after_1_2_and_5_s_of_speech_and_at_the_end(judging: App) -> None:
    *early, final = await stream(judging, LONG)
    assert [line["speech_ms"] for line in early] == [1000, 2000, 5000]
    assert [line["window"]["length_ms"] for line in early] == [1000, 2000, 5000]
    assert all(line["provisional"] for line in early)
    assert (final["provisional"], final["speech_ms"]) == (False, None)


async def test_every_line_begins_with_label_confidence_and_time(judging: App) -> None:
    for line in await stream(judging, HUMAN):
        assert list(line)[:3] == ["label", "confidence", "processing_time_ms"]


async def test_every_line_has_the_window_of_each_model_run(judging: App) -> None:
    for line in await stream(judging, LONG):
        last = line["scored"][-1]
        assert len(line["scored"]) == line["runs"]
        assert (last["scores"], last["start_ms"], last["length_ms"]) == (line["scores"], *line["window"].values())


async def test_on_request_the_final_line_has_the_longer_window_that_the_verdict_did_not_need(
    closed_database: Database,
) -> None:
    lengths: list[list[int]] = []
    async with ready(StubEngine(), window_ms=2000, long_window_ms=4000) as detector:
        service = open_app(closed_database, detector)
        for query in ("", "?longer_window=true"):
            response = await service.client.post(f"/predict-stream{query}", content=LONG, headers=WAV)
            final = json.loads(response.text.splitlines()[-1])
            assert (final["label"], final["runs"], final["window"]["length_ms"]) == ("human", 1, 2000)
            lengths.append([window["length_ms"] for window in final["scored"]])
    assert lengths == [[2000], [2000, 4000]]


async def test_audio_that_ends_within_the_first_window_has_no_longer_window(judging: App) -> None:
    for recording in (file_of(speech(1.4)), SILENCE):
        response = await judging.client.post("/predict-stream?longer_window=true", content=recording, headers=WAV)
        final = json.loads(response.text.splitlines()[-1])
        assert len(final["scored"]) == final["runs"]


@pytest.mark.parametrize("query", ["longer_window=", "longer_window=1", "longer_window=true&longer_window=true"])
async def test_a_longer_window_that_is_no_boolean_is_refused(judging: App, query: str) -> None:
    response = await judging.client.post(f"/predict-stream?{query}", content=HUMAN, headers=WAV)
    assert response.status_code == 422
    assert "`longer_window` must be true or false" in response.json()["detail"]


async def test_less_than_2_s_of_speech_get_one_provisional_verdict(judging: App) -> None:
    lines = await stream(judging, file_of(speech(1.4)))
    assert [line["speech_ms"] for line in lines] == [1000, None]


async def test_silence_gets_only_a_final_line(judging: App) -> None:
    [line] = await stream(judging, SILENCE)
    assert (line["label"], line["confidence"], line["reason"]) == ("undecided", None, "no_speech")


async def test_raw_mulaw_gets_provisional_verdicts(judging: App) -> None:
    lines = await stream(judging, samples_of(VOICEMAIL), headers=MULAW, size=160)
    assert [line["speech_ms"] for line in lines[:2]] == [1000, 2000]
    assert lines[-1]["label"] == "voicemail"


@pytest.mark.parametrize("recording", [HUMAN, VOICEMAIL, LONG])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_the_final_line_equals_the_verdict_of_predict_for_all_chunk_sizes(
    judging: App, recording: bytes, data: st.DataObject
) -> None:
    whole = await judging.client.post("/predict", content=recording, headers=WAV)
    cuts = data.draw(st.lists(st.integers(0, len(recording)), max_size=12))
    response = await judging.client.post("/predict-stream", content=pieces(recording, cuts), headers=WAV)
    final = json.loads(response.text.splitlines()[-1])
    assert verdict_of(final) == verdict_of(whole.json())


async def test_the_first_line_is_sent_while_the_body_is_still_arriving(
    demo: Detector, closed_database: Database
) -> None:
    app = create_app(open_app(closed_database, demo).runtime)
    async with serve_on_loopback(app) as url, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(
            b"POST /predict-stream HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
            b"authorization: Bearer %b\r\n"
            b"content-type: audio/wav\r\ntransfer-encoding: chunked\r\n\r\n" % API_KEY.encode()
        )
        half = len(LONG) // 2
        writer.write(chunk(LONG[:half]))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        first = await read_line(reader)
        assert first["provisional"] is True
        writer.write(chunk(LONG[half:]) + chunk(b""))
        while (line := await read_line(reader))["provisional"]:
            continue
        assert line["label"] in ("human", "voicemail", "undecided")
        writer.close()
        await writer.wait_closed()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def read_line(reader: asyncio.StreamReader) -> Line:
    """Read the next chunk of a response. A chunk contains one line."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    data = await reader.readexactly(size + 2)
    line: Line = json.loads(data)
    return line


async def test_initial_silence_only_delays_the_verdicts(judging: App) -> None:
    lines = await stream(judging, file_of(through_mulaw(speech(2.5, after_s=6.0))))
    assert [line["speech_ms"] for line in lines] == [1000, 2000, None]
    assert all(line["onset_ms"] == pytest.approx(6000, abs=150) for line in lines)


async def test_long_silence_gets_its_verdict_before_the_end_of_the_body(judging: App) -> None:
    [line] = await stream(judging, file_of(silence(25.0)), size=16_000)
    assert line["reason"] == "no_speech"
