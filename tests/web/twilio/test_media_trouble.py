"""Live streams with a failing or slow model, and with misbehaving peers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.websockets import WebSocket
from twilio.request_validator import RequestValidator

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.detection.live_stream import LiveStream
from amd_service.simulator.twilio.streams import FRAME_BYTES
from amd_service.web.app import create_app
from amd_service.web.time_limits import TimeLimits
from amd_service.web.twilio import media
from tests.support.app import TOKEN, open_app
from tests.support.detectors import ready
from tests.support.media_streams import HELLO, SIGNED_URL, STREAM, LiveService, send_messages, serving
from tests.support.models import StubEngine, mostly_human

pytestmark = pytest.mark.anyio


class Model(StubEngine):
    """A stub engine that can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    def answer_to(self, clip: NDArray[np.float32]) -> tuple[float, float]:
        if self.failure is not None:
            raise self.failure
        return mostly_human(clip)


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    engine = Model()
    engine.answer = engine.answer_to
    yield engine
    engine.free.set()


@pytest.fixture
async def detector(model: Model) -> AsyncIterator[Detector]:
    async with ready(model) as detector:
        yield detector


@pytest.fixture
async def live(database: Database, detector: Detector) -> AsyncIterator[LiveService]:
    async with serving(database, detector, live_streams=1, on_human="hang_up") as live:
        yield live


async def test_a_stream_has_no_verdict_if_the_model_exceeds_its_time_limit(
    database: Database, detector: Detector, model: Model
) -> None:
    async with serving(database, detector, time_limits=TimeLimits(media_verdict_s=0.1)) as live:
        model.free.clear()
        assert (await live.send_stream()).close_code == 1000
        await live.wait_for_outcome("unjudged")
        assert set((await live.service.rows()).values()) == {0}
        model.free.set()


async def test_an_engine_failure_ends_the_stream_and_is_counted(
    live: LiveService, model: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    model.failure = RuntimeError("the device is lost")
    assert (await live.send_stream()).close_code == 1000
    await live.wait_for_outcome("unjudged")
    (logged,) = [line for line in "".join(capfd.readouterr()).splitlines() if "stream without a verdict" in line]
    assert STREAM.call_sid in logged
    model.failure = None
    assert (await live.send_stream()).close_code == 1000
    await live.wait_for_outcome("verdict")


async def test_an_unexpected_error_while_the_verdict_is_stored_ends_the_stream_and_is_counted(
    live: LiveService, database: Database
) -> None:
    async with refusing_verdicts(database):
        assert (await live.send_stream()).close_code == 1000
        await live.wait_for_outcome("unjudged")


@asynccontextmanager
async def refusing_verdicts(database: Database) -> AsyncIterator[None]:
    """Add a database constraint that every new verdict violates."""
    async with database.transaction() as session:
        await session.execute(text("alter table verdict add constraint none check (false) not valid"))
    try:
        yield
    finally:
        async with database.transaction() as session:
            await session.execute(text("alter table verdict drop constraint none"))


async def test_a_connection_that_the_server_closed_during_inference_is_not_closed_again(
    live: LiveService, model: Model, detector: Detector
) -> None:
    # Send only the chunks that the model needs. While further messages wait for the application, the server does not
    # read from the connection.
    needed = range(1, await chunks_for_a_verdict(detector) + 1)
    model.hold()
    async with live.open() as connection:
        await send_messages(connection, STREAM.start(), *map(STREAM.media, needed))
        await asyncio.to_thread(model.entered.acquire)
        await connection.send("x" * 70_000)
        await connection.wait_closed()
        assert connection.close_code == 1009
        model.free.set()
    await live.wait_for_outcome("verdict")


async def chunks_for_a_verdict(detector: Detector) -> int:
    stream = LiveStream(detector)
    for chunk in STREAM.chunks():
        if await stream.feed(HELLO[(chunk - 1) * FRAME_BYTES : chunk * FRAME_BYTES]):
            return chunk
    raise AssertionError("the stream is too short for a verdict")


class Peer:
    """The peer of an ASGI WebSocket. All messages of the peer have arrived, and the peer never completes a close."""

    def __init__(self, app: Starlette, *texts: str) -> None:
        self.app = app
        self.messages = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in texts),
            {"type": "websocket.disconnect"},
        ]
        self.closing = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.closing.set()
            await asyncio.Event().wait()

    async def connect(self) -> None:
        signed = RequestValidator(TOKEN).compute_signature(SIGNED_URL, {})
        scope = {
            "type": "websocket",
            "raw_path": b"/twilio/media",
            "query_string": b"",
            "headers": [(b"x-twilio-signature", signed.encode())],
            "app": self.app,
        }
        await media.media(WebSocket(scope, self.receive, self.send))


async def test_a_peer_that_does_not_complete_the_close_holds_no_slot(closed_database: Database) -> None:
    service = open_app(closed_database, live=True, live_streams=1)
    app = create_app(service.runtime, time_limits=TimeLimits(media_close_s=0.1))
    slow = create_app(service.runtime, time_limits=TimeLimits(media_close_s=60.0))
    slow.state.service = replace(slow.state.service, stream_limiter=app.state.service.stream_limiter)
    first, second = Peer(slow, "nonsense"), Peer(app, "nonsense")
    connection = asyncio.create_task(first.connect())
    await first.closing.wait()
    await second.connect()
    assert service.counted("amd_streams_total", outcome="malformed") == 2
    connection.cancel()
    await service.client.aclose()


class DisconnectedPeer(Peer):
    """A peer that has disconnected. The server raises an OSError for every message to the peer."""

    async def send(self, message: Any) -> None:
        raise OSError(f"no connection for {message['type']}")


async def test_a_peer_that_disconnects_before_accept_is_counted_as_broken_off(
    closed_database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    service = open_app(closed_database, live=True)
    await DisconnectedPeer(create_app(service.runtime)).connect()
    assert service.counted("amd_streams_total", outcome="broken_off") == 1
    assert "Traceback" not in "".join(capfd.readouterr())
    await service.client.aclose()


async def test_other_tasks_run_while_received_messages_are_processed(closed_database: Database) -> None:
    service = open_app(closed_database, live=True)
    runs = 0

    async def count_runs() -> None:
        nonlocal runs
        while True:
            runs += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_runs())
    await Peer(create_app(service.runtime), *['{"event":"mark"}'] * 100).connect()
    other.cancel()
    assert runs > 90
    await service.client.aclose()
