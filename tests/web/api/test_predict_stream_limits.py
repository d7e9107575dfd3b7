"""POST /predict-stream: bodies that are too long or too slow, and errors before and after the first line."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.web.time_limits import TimeLimits
from tests.support.app import App, open_app
from tests.support.detectors import ready, speech
from tests.support.fixture_calls import HUMAN, samples_of
from tests.support.models import StubEngine
from tests.support.signals import file_of, through_mulaw
from tests.support.streamed_bodies import LONG, WAV, every, pieces

pytestmark = pytest.mark.anyio


async def test_a_long_body_gets_the_final_line_before_its_end_and_is_read_completely(closed_database: Database) -> None:
    sent = 0
    body = file_of(through_mulaw(speech(3.0))) + bytes(1_000_000)

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        async for piece in pieces(body, every(16_000, body)):
            sent += len(piece)
            yield piece

    engine = StubEngine()
    async with ready(engine) as detector:
        service = open_app(closed_database, detector)
        response = await service.client.post(
            "/predict-stream", content=counted(), headers={"content-type": "audio/pcm;rate=8000"}
        )
    assert json.loads(response.text.splitlines()[-1])["provisional"] is False
    assert sent == len(body)
    assert max(length for call in engine.calls for length in call) <= 5.0


async def test_after_the_verdict_the_body_is_read_only_up_to_the_size_limit(closed_database: Database) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield file_of(speech(3.0))
        while True:
            sent += 16_000
            yield bytes(16_000)

    async with ready(StubEngine()) as detector:
        service = open_app(closed_database, detector, max_upload_bytes=500_000)
        response = await service.client.post(
            "/predict-stream", content=endless(), headers={"content-type": "audio/pcm;rate=8000"}
        )
    final = json.loads(response.text.splitlines()[-1])
    assert (final["label"], final["provisional"]) == ("human", False)
    assert sent < 600_000


async def test_after_the_verdict_an_endless_body_is_read_for_a_limited_time(
    closed_database: Database,
) -> None:

    async def live() -> AsyncIterator[bytes]:
        yield file_of(speech(3.0)) + bytes(600_000)
        await asyncio.Event().wait()

    async with ready(StubEngine()) as detector, asyncio.timeout(60):
        service = open_app(closed_database, detector, time_limits=TimeLimits(predict_stream_drain_s=0.01))
        response = await service.client.post(
            "/predict-stream", content=live(), headers={"content-type": "audio/pcm;rate=8000"}
        )
    final = json.loads(response.text.splitlines()[-1])
    assert (final["label"], final["provisional"]) == ("human", False)


async def test_an_endless_body_gets_408(demo: Detector, closed_database: Database) -> None:
    service = open_app(closed_database, demo, time_limits=TimeLimits(predict_stream_total_s=0.05))

    async def dripping() -> AsyncIterator[bytes]:
        yield LONG[: len(LONG) // 2]
        while True:
            yield b""
            yield b"\x00"

    response = await service.client.post("/predict-stream", content=dripping(), headers=WAV)
    last = json.loads(response.text.splitlines()[-1])
    assert (last["status"], last["detail"]) == (408, "the body did not end within 0.05 s")


async def test_streams_do_not_block_uploads(closed_database: Database) -> None:
    streaming, finish = asyncio.Event(), asyncio.Event()

    async def live() -> AsyncIterator[bytes]:
        yield HUMAN
        streaming.set()
        await finish.wait()

    async with ready(StubEngine()) as detector:
        service = open_app(closed_database, detector, inference_queue=1)
        stream = asyncio.create_task(service.client.post("/predict-stream", content=live(), headers=WAV))
        await streaming.wait()
        assert (await service.client.post("/predict-stream", content=HUMAN, headers=WAV)).status_code == 429
        assert (await service.client.post("/predict", content=HUMAN, headers=WAV)).status_code == 200
        finish.set()
        assert (await stream).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"garbage" * 500, WAV, 422),
        (b"", WAV, 422),
        (samples_of(HUMAN), {"content-type": "audio/x-mulaw"}, 422),
        (HUMAN, {"content-type": "application/json"}, 415),
        (HUMAN, {"content-type": "multipart/form-data; boundary=x"}, 415),
        (HUMAN, {}, 415),
    ],
)
async def test_an_error_before_the_first_line_is_an_ordinary_problem(
    judging: App, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = await judging.client.post("/predict-stream", content=body, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_classifier_that_is_not_ready_gets_503(closed_database: Database) -> None:
    response = await open_app(closed_database).client.post("/predict-stream", content=HUMAN, headers=WAV)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_error_after_the_first_line_is_the_last_line(closed_database: Database) -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        service = open_app(closed_database, detector)

        async def spoilt() -> AsyncIterator[bytes]:
            yield LONG[: len(LONG) // 2]
            engine.answer = lambda _: (float("nan"), 0.0)
            yield LONG[len(LONG) // 2 :]

        response = await service.client.post("/predict-stream", content=spoilt(), headers=WAV)
    first, *_, last = [json.loads(line) for line in response.text.splitlines()]
    assert response.status_code == 200
    assert first["provisional"] is True
    assert (last["status"], set(last)) == (500, {"title", "status", "detail"})


async def test_an_idle_client_gets_408(demo: Detector, closed_database: Database) -> None:
    service = open_app(closed_database, demo, time_limits=TimeLimits(predict_stream_idle_s=0.01))

    async def stalled() -> AsyncIterator[bytes]:
        yield HUMAN[:1000]
        await asyncio.Event().wait()

    response = await service.client.post("/predict-stream", content=stalled(), headers=WAV)
    assert response.status_code == 408
