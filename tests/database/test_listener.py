"""Notifications set the wake event."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from amd_service.calls import queue
from amd_service.database.connection import connect
from amd_service.database.listener import WORK, Listener, wake_on_notify
from amd_service.database.pool import Database
from amd_service.telemetry import Metrics
from tests.support.deliveries import claim, deliver, recording

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def wake() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def listener(database: Database, wake: asyncio.Event, metrics: Metrics) -> AsyncIterator[Listener]:
    async with wake_on_notify(database.url, wake, metrics) as listener:
        await soon(listener.listening)
        wake.clear()
        yield listener


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()


async def test_a_queued_recording_sets_the_wake_event(
    database: Database, listener: Listener, wake: asyncio.Event
) -> None:
    await deliver(database, recording("completed"))
    await soon(wake)


async def test_only_a_queued_recording_notifies(database: Database) -> None:
    payloads: asyncio.Queue[str] = asyncio.Queue()
    connection = await connect(database.url, statement_timeout_s=5)
    await connection.add_listener(WORK.name, lambda *arguments: payloads.put_nowait(arguments[3]))
    await deliver(database, recording("in-progress"), recording("absent"))
    # Notifications arrive in the order of commits. If the callbacks had sent one, it would arrive before the marker.
    await connection.execute(f"select pg_notify('{WORK.name}', 'marker')")
    async with asyncio.timeout(60):
        assert await payloads.get() == "marker"
    await connection.close()


async def test_a_retry_sets_the_wake_event_so_that_the_worker_reads_the_delay(
    database: Database, listener: Listener, wake: asyncio.Event
) -> None:
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    await soon(wake)
    wake.clear()
    async with database.transaction() as session:
        await queue.retry_later(session, job, delay_s=60, error="TwilioUnavailable: 503")
    await soon(wake)


async def test_a_lost_connection_is_replaced_and_counted_and_sets_the_wake_event(
    database: Database, listener: Listener, wake: asyncio.Event, metrics: Metrics
) -> None:
    async with database.transaction() as session:
        await session.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query ilike 'listen%amd_work%' and datname = current_database()"
            )
        )
    await soon(wake)
    assert listener.reconnects == 1
    assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "listener"}) == 1
    wake.clear()
    await deliver(database, recording("completed"))
    await soon(wake)


async def test_the_listener_starts_without_a_database_and_stops_when_cancelled(
    wake: asyncio.Event, metrics: Metrics
) -> None:
    async with wake_on_notify("postgresql://u:p@127.0.0.1:1/none", wake, metrics) as listener:
        async with asyncio.timeout(60):
            while listener.reconnects < 2:  # noqa: ASYNC110 - a failed attempt sets no event
                await asyncio.sleep(0)
    assert not listener.listening.is_set()
