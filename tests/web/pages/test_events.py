"""GET /calls/events: live rows, from a real server and a real Postgres."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from sqlalchemy import text

from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.change_feed import ChangeFeed
from amd_service.simulator.service_process import COMMAND, ServiceProcess
from amd_service.simulator.twilio.resources import make_account
from amd_service.telemetry import Metrics
from amd_service.web.pages.events import OUTAGE, follow
from tests.support.call_rows import call, numbered_sid, store
from tests.support.scene import Scene
from tests.support.sessions import PAGE_LISTENERS
from tests.support.simulated_twilio import watched_simulated_twilio

pytestmark = pytest.mark.anyio

MAX_CONNECTIONS = 16
WITHOUT_MODEL = (*COMMAND, "serve", "--no-worker", "--no-model")


@asynccontextmanager
async def run(database_url: str) -> AsyncIterator[ServiceProcess]:
    account = make_account()
    async with watched_simulated_twilio(account) as simulated_twilio:
        scene = Scene(database_url, simulated_twilio, account)
        async with scene.run_service(WITHOUT_MODEL, max_connections=MAX_CONNECTIONS) as service:
            await service.wait_until_alive()
            yield service


@pytest.fixture(scope="module")
async def server(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with run(database_url) as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
        yield client


class Stream:
    """An open stream of events."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> str | None:
        """The next event; None after the last."""
        lines: list[str] = []
        async with asyncio.timeout(60):
            async for line in self._lines:
                if line == "" and lines:
                    return "\n".join(lines)
                if line:
                    lines.append(line)
        return None

    async def until(self, part: str) -> str:
        """The next event that contains this text."""
        while (event := await self.next()) is not None:
            if part in event:
                return event
        raise AssertionError(f"the stream ended without {part!r}")


@asynccontextmanager
async def open_stream(client: httpx2.AsyncClient, server: ServiceProcess, query: str = "") -> AsyncIterator[Stream]:
    async with client.stream("GET", f"{server.url}/calls/events{query}") as response:
        assert response.status_code == 200
        yield Stream(response)


def shown(event: str | None) -> list[int]:
    return [int(sid, 16) for sid in re.findall(r'<tr id="CA([0-9a-f]{32})"', event or "")]


async def test_a_stream_sends_the_rows_now_and_after_every_change(
    database: Database, server: ServiceProcess, client: httpx2.AsyncClient
) -> None:
    await store(database, call(1))
    async with open_stream(client, server) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        first = await stream.next()
        assert shown(first) == [1]
        assert 'hx-target="#rows"' in (first or "")
        await store(database, call(2, label=Label.HUMAN))
        assert shown(await stream.until(numbered_sid(2))) == [2, 1]


async def test_a_stream_shows_only_the_calls_of_its_filter(
    database: Database, server: ServiceProcess, client: httpx2.AsyncClient
) -> None:
    async with open_stream(client, server, "?label=voicemail") as stream:
        assert shown(await stream.next()) == []
        await store(database, call(3, label=Label.HUMAN), call(4, label=Label.VOICEMAIL))
        assert shown(await stream.next()) == [4]


async def test_a_lost_connection_for_notifications_is_replaced(
    database: Database, server: ServiceProcess, client: httpx2.AsyncClient
) -> None:
    async with open_stream(client, server) as stream:
        await store(database, call(5))
        await stream.until(numbered_sid(5))
        async with database.transaction() as session:
            ended = await session.execute(text(f"select pg_terminate_backend(pid) from ({PAGE_LISTENERS}) as listener"))
            assert ended.scalars().all() == [True]
        await store(database, call(6))
        await stream.until(numbered_sid(6))


async def test_open_pages_leave_half_of_the_connections_and_are_not_closed_as_idle(
    database: Database, server: ServiceProcess, client: httpx2.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(open_stream(client, server)) for _ in range(MAX_CONNECTIONS // 2)]
        for stream in streams:
            await stream.next()
        # A further page gets the rows once, and connects again later.
        async with open_stream(client, server) as stream:
            assert await stream.next() == "retry: 10000"
            assert "hx-partial" in (await stream.next() or "")
            assert await stream.next() is None
        # Idle connections beyond the limit are closed. The open pages stay.
        for _ in range(MAX_CONNECTIONS):
            idle = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))
            assert (await idle.get(f"{server.url}/health")).status_code == 200
        await store(database, call(7))
        for stream in streams:
            await stream.until(numbered_sid(7))


@pytest.mark.slow
async def test_the_service_ends_at_once_with_fifty_open_pages(
    database: Database, database_url: str, client: httpx2.AsyncClient
) -> None:
    async with run(database_url) as service, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(open_stream(client, service)) for _ in range(50)]
        followed = [stream for stream in streams if "retry" not in (await stream.next() or "")]
        assert len(followed) == MAX_CONNECTIONS // 2
        service.process.terminate()
        # A stream that is cut off raises RemoteProtocolError.
        assert [await stream.next() for stream in followed] == [None] * len(followed)
        async with asyncio.timeout(60):
            assert await service.process.wait() == 0


async def test_a_stream_ends_after_its_lifetime_so_that_access_is_checked_again(database: Database) -> None:
    feed = ChangeFeed(database, Metrics())

    async def read() -> bytes:
        return b"rows"

    assert [event async for event in follow(feed, read, lifetime_s=0.5)] == [b"rows"]
    assert feed.open_pages == 0


async def test_an_outage_of_the_database_is_sent_once_and_the_rows_again_after_it(closed_database: Database) -> None:
    feed = ChangeFeed(closed_database, Metrics(), poll_s=0.001)
    results = iter([b"rows", b"rows", None, None, b"rows", b"other rows"])

    async def read() -> bytes:
        found = next(results)
        if found is None:
            raise DatabaseUnavailable("down")
        return found

    events = follow(feed, read)
    async with asyncio.timeout(60):
        assert [await anext(events) for _ in range(4)] == [b"rows", OUTAGE, b"rows", b"other rows"]
    feed.close()
    assert [event async for event in events] == []
