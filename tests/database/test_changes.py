"""Committed changes of calls notify the open pages."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from amd_service.calls.tables import CallLog
from amd_service.database.connection import connect
from amd_service.database.listener import CHANGES, Listener
from amd_service.database.pool import Database
from amd_service.telemetry import Metrics
from tests.support.deliveries import deliver, recording
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

INSERT = "insert into call_log (call_sid, account_sid, analysis_state) values ('CA1', 'AC1', 'waiting')"


@pytest.fixture
def wake() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def listener(database: Database, wake: asyncio.Event) -> AsyncIterator[Listener]:
    async with database.wake_on_notify(wake, Metrics(), CHANGES) as listener:
        await until(listener.listening.is_set)
        wake.clear()
        yield listener


async def test_a_stored_callback_notifies_the_pages(
    database: Database, listener: Listener, wake: asyncio.Event
) -> None:
    await deliver(database, recording("completed"))
    await until(wake.is_set)


async def test_a_row_changed_by_the_mapper_at_the_commit_notifies_the_pages(
    database: Database, listener: Listener, wake: asyncio.Event
) -> None:
    async with database.transaction() as session:
        await session.execute(text(INSERT))
    await until(wake.is_set)
    wake.clear()
    async with database.transaction() as session:
        row = (await session.scalars(select(CallLog))).one()
        row.to_number = "+15005550010"
    await until(wake.is_set)


async def test_the_last_change_of_a_process_is_notified_before_the_process_ends(
    database: Database, listener: Listener, wake: asyncio.Event
) -> None:
    await write(database.url, INSERT)
    await until(wake.is_set)


async def test_reads_and_rolled_back_writes_notify_nobody(
    database: Database, listener: Listener, payloads: asyncio.Queue[str]
) -> None:
    await write(database.url, "select from call_log for update")
    with pytest.raises(IntegrityError):
        await write(database.url, INSERT.replace("'waiting'", "'no such state'"))
    assert await first_of(payloads, database) == "marker"


async def test_nothing_is_sent_while_no_process_has_open_pages(
    database: Database, payloads: asyncio.Queue[str]
) -> None:
    await write(database.url, INSERT)
    assert await first_of(payloads, database) == "marker"


async def test_many_changes_within_a_moment_are_notified_together(
    database: Database, listener: Listener, payloads: asyncio.Queue[str]
) -> None:
    for number in range(20):
        async with database.transaction() as session:
            await session.execute(text(INSERT.replace("CA1", f"CA{number}")))
    await database.dispose()
    assert await first_of(payloads, database) == ""
    assert payloads.qsize() < 20


@pytest.fixture
async def payloads(database: Database) -> AsyncIterator[asyncio.Queue[str]]:
    """All notifications, received by a connection that does not take part in the protocol."""
    received: asyncio.Queue[str] = asyncio.Queue()
    connection = await connect(database.url, statement_timeout_s=5)
    await connection.add_listener(CHANGES.name, lambda *arguments: received.put_nowait(arguments[3]))
    yield received
    await connection.close()


async def write(url: str, statement: str) -> None:
    """Run a statement in a process of its own pool, which ends afterwards."""
    process = Database(url)
    try:
        async with process.transaction() as session:
            await session.execute(text(statement))
    finally:
        await process.dispose()


async def first_of(payloads: asyncio.Queue[str], database: Database) -> str:
    """The first notification. If none was sent, it is the marker: notifications arrive in the order of commits."""
    async with database.transaction() as session:
        await session.execute(text(f"select pg_notify('{CHANGES.name}', 'marker')"))
    async with asyncio.timeout(60):
        return await payloads.get()
