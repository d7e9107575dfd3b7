"""Limits on connections, in a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from amd_service.web.connections import MAX_HEADER_BYTES, ConnectionLimits, guarded_protocol
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

LIMITS = ConnectionLimits(connections=100, header_s=0.3, write_s=0.3)
PATIENT = ConnectionLimits(connections=3, reserve=1, header_s=60)
GET = b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Service:
    """A server whose app holds each request to `…/hold` until `release` is set."""

    def __init__(self, limits: ConnectionLimits) -> None:
        config = uvicorn.Config(
            self.app,
            port=0,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            http=guarded_protocol(limits),
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.port = 0
        self.release = asyncio.Event()
        self.held = 0
        self.sent = 0  # complete responses, also if the client has not read them yet

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/hold"):
            self.held += 1
            await self.release.wait()
        if scope["path"] == "/echo":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            await receive()
            return
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                continue
        body = b"x" * (20_000_000 if scope["path"] == "/large" else 2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
        self.sent += 1

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def status(self, path: bytes) -> int:
        """The status of a GET on a new connection. 0 if the connection is closed without a response."""
        reader, writer = await self.connect()
        writer.write(GET % path)
        status = await read_status(reader)
        writer.close()
        return status

    async def hold(self, path: bytes = b"/hold") -> asyncio.StreamWriter:
        """Open a connection whose request is in progress."""
        held = self.held
        _, writer = await self.connect()
        writer.write(GET % path)
        await until(lambda: self.held > held)
        return writer


@asynccontextmanager
async def serving(limits: ConnectionLimits) -> AsyncIterator[Service]:
    service = Service(limits)
    task = asyncio.create_task(service.server.serve())
    await until(lambda: service.server.started)
    service.port = service.server.servers[0].sockets[0].getsockname()[1]
    yield service
    service.release.set()
    service.server.should_exit = True
    await task


async def read_status(reader: asyncio.StreamReader) -> int:
    try:
        line = await reader.readline()
    except ConnectionError:
        return 0
    return int(line.split()[1]) if line else 0


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the connection is closed."""
    try:
        return await reader.read() is not None
    except ConnectionError:
        return True


ENDLESS = {
    "a header": (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ", b"a" * 4096),
    "headers": (b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"x: aaaaaaaaaaaaaaaaaaaa\r\n" * 200),
    "a target": (b"GET /", b"a" * 4096),
    "a method": (b"G", b"E" * 4096),
    "a chunk extension": (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 4096),
    "trailers": (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: aaaaaaaaa\r\n" * 300),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_endless_headers_end_the_connection(what: str) -> None:
    start, more = ENDLESS[what]
    async with serving(ConnectionLimits(connections=100, header_s=60)) as service:
        reader, writer = await service.connect()
        writer.write(start)
        sent = 0
        with suppress(ConnectionError):
            while not reader.at_eof() and sent < 50_000_000:
                writer.write(more)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(more)
        assert sent < 50_000_000
        await until(lambda: service.connections == 0)
        writer.close()


async def test_headers_of_an_ordinary_size_are_accepted() -> None:
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 16_000 + b"\r\n\r\n")
        assert await read_status(reader) == 200
        writer.close()


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: "])
async def test_slow_headers_end_the_connection_although_bytes_keep_coming(before: bytes) -> None:
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(before)
        closed = asyncio.create_task(is_closed(reader))
        with suppress(ConnectionError):
            while not closed.done():
                if before:
                    writer.write(b"a")
                    await writer.drain()
                await asyncio.sleep(0.02)
        assert await closed
        assert service.connections == 0
        writer.close()


async def test_slow_headers_of_a_second_request_end_the_connection() -> None:
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(GET % b"/")
        await reader.readuntil(b"xx")
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await is_closed(reader)
        writer.close()


async def test_bytes_after_a_response_do_not_keep_a_connection_open() -> None:
    """The rest of a body that the app did not read."""
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        await reader.readuntil(b"xx")
        closed = asyncio.create_task(is_closed(reader))
        with suppress(ConnectionError):
            while not closed.done():
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.02)
        assert await closed
        writer.close()


async def test_a_slow_body_is_not_limited_by_the_time_for_headers() -> None:
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 40\r\n\r\n")
        for _ in range(40):
            await asyncio.sleep(0.02)
            writer.write(b"a")
        assert await read_status(reader) == 200
        writer.close()


async def test_a_client_that_does_not_read_its_response_loses_the_connection() -> None:
    async with serving(LIMITS) as service:
        _, writer = await service.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET % b"/large")
        await until(lambda: service.connections == 1)
        await until(lambda: service.connections == 0 and not service.server.server_state.tasks)
        writer.close()


async def test_twilio_is_served_while_other_clients_use_all_connections() -> None:
    async with serving(PATIENT) as service:
        busy = [await service.hold() for _ in range(3)]
        assert await service.status(b"/predict") == 503
        assert await service.status(b"/twilio/status") == 200
        assert await service.status(b"/health") == 200
        service.release.set()
        for writer in busy:
            writer.close()


async def test_connections_above_the_reserve_are_closed() -> None:
    async with serving(PATIENT) as service:
        busy = [await service.hold() for _ in range(3)] + [await service.hold(b"/twilio/hold")]
        assert await service.status(b"/twilio/status") == 0
        for writer in busy:
            writer.close()


async def test_connections_without_a_request_never_keep_twilio_out() -> None:
    async with serving(PATIENT) as service:
        busy = [await service.hold() for _ in range(3)]
        opened = [(await service.connect())[1] for _ in range(20)]
        assert await service.status(b"/twilio/status") == 200
        for writer in busy + opened:
            writer.close()


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x02\x00\x01\n\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\r\n\r\n"])
async def test_a_request_that_is_not_http_gets_a_problem(request_: bytes) -> None:
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(request_)
        response = await reader.read()
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in response
        writer.close()


async def test_an_invalid_body_after_the_start_of_the_response_closes_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(LIMITS) as service:
        reader, writer = await service.connect()
        writer.write(b"POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        assert await read_status(reader) == 200
        writer.write(b"not a chunk\r\n")
        assert await is_closed(reader)
        assert "Fatal error" not in caplog.text
        writer.close()


async def test_the_longest_idle_connection_is_closed_for_a_new_one() -> None:
    async with serving(PATIENT) as service:
        idle = [await service.connect() for _ in range(3)]
        for reader, writer in idle:
            writer.write(GET % b"/")
            await reader.readuntil(b"xx")
        assert await service.status(b"/predict") == 200
        assert await is_closed(idle[0][0])
        idle[2][1].write(GET % b"/")
        assert await read_status(idle[2][0]) == 200
        for _, writer in idle:
            writer.close()


async def test_a_response_that_is_still_being_read_is_not_cut_off_for_a_new_connection() -> None:
    async with serving(PATIENT) as service:
        reader, writer = await service.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET % b"/large")
        await until(lambda: service.sent == 1)
        busy = [await service.hold() for _ in range(2)]
        assert await service.status(b"/twilio/status") == 200
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.readexactly(20_000_000)) == 20_000_000
        for each in (writer, *busy):
            each.close()
