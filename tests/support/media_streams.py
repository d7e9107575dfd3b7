"""A service on a loopback port that accepts Media Streams."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect

from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.domain import CallSid, RecordingSid
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.simulator.twilio.streams import MediaStream, StreamResult, send_stream
from amd_service.twilio.stream_keys import stream_key
from amd_service.web.app import create_app
from amd_service.web.server import WEBSOCKETS
from amd_service.web.time_limits import DEFAULT_TIME_LIMITS, TimeLimits
from tests.support import deliveries
from tests.support.app import TOKEN, App, open_app
from tests.support.fixture_calls import HUMAN, SILENCE, samples_of
from tests.support.sids import ACCOUNT, CALL
from tests.support.waiting import until

SIGNED_URL = "wss://amd.example.com/twilio/media"
HELLO, QUIET = samples_of(HUMAN), samples_of(SILENCE)  # μ-law samples
KEY = stream_key(SecretStr(TOKEN), CallSid(CALL))
STREAM = MediaStream(ACCOUNT, HELLO, call_sid=CALL, pace=None, parameters={"key": KEY})
STREAM_ROW = RecordingSid(STREAM.stream_sid)


class LiveService:
    """A service on a loopback port that accepts Media Streams."""

    def __init__(self, service: App, url: str) -> None:
        self.service = service
        self.url = url.replace("http", "ws") + "/twilio/media"

    async def send_stream(self, stream: MediaStream = STREAM, *, token: str = TOKEN) -> StreamResult:
        return await send_stream(self.url, stream, token=token, signed_url=SIGNED_URL)

    def open(self, path: str = "/twilio/media") -> connect:
        signed = RequestValidator(TOKEN).compute_signature("wss://amd.example.com" + path, {})
        url = self.url.removesuffix("/twilio/media") + path
        return connect(url, additional_headers={"X-Twilio-Signature": signed}, proxy=None)

    async def wait_for_outcome(self, outcome: str, times: int = 1) -> None:
        await until(lambda: self.service.counted("amd_streams_total", outcome=outcome) == times)


async def call_row(live: LiveService) -> CallLog:
    return await deliveries.call_row(live.service.runtime.database, CallSid(CALL))


async def send_messages(connection: ClientConnection, *messages: dict[str, object]) -> None:
    for message in messages:
        await connection.send(json.dumps(message))


@asynccontextmanager
async def serving(
    database: Database,
    detector: Detector | None = None,
    *,
    live: bool = True,
    time_limits: TimeLimits = DEFAULT_TIME_LIMITS,
    **changes: object,
) -> AsyncIterator[LiveService]:
    """Run `open_app` on a port, with the WebSocket server that production uses."""
    service = open_app(database, detector, live=live, **changes)  # type: ignore[arg-type]  # passed on as they are
    async with serve_on_loopback(create_app(service.runtime, time_limits=time_limits), websockets=WEBSOCKETS) as url:
        yield LiveService(service, url)
    await service.client.aclose()
