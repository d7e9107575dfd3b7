"""Open pages hear of changes through one connection of their process."""

import asyncio

import pytest
from sqlalchemy import text

from amd_service.database.pool import Database
from amd_service.operations.change_feed import ChangeFeed
from amd_service.telemetry import Metrics
from tests.support.call_rows import call, store
from tests.support.sessions import PAGE_LISTENERS
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def listeners(database: Database) -> int:
    async with database.transaction() as session:
        return len((await session.scalars(text(PAGE_LISTENERS))).all())


async def test_a_process_listens_on_one_connection_while_pages_are_open(database: Database) -> None:
    feed = ChangeFeed(database, Metrics())

    async def has(count: int) -> bool:
        return await listeners(database) == count

    await until(lambda: has(0))
    async with feed.subscribe(), feed.subscribe():
        await until(lambda: has(1))
        assert feed.open_pages == 2
    await until(lambda: has(0))
    async with feed.subscribe():
        await until(lambda: has(1))


async def test_a_change_wakes_every_page_and_raises_the_version(database: Database) -> None:
    feed = ChangeFeed(database, Metrics())

    async def listens() -> bool:
        return await listeners(database) == 1

    async with feed.subscribe() as first, feed.subscribe() as second:
        await until(listens)
        await until(lambda: feed.version > 0)
        first.clear()
        second.clear()
        version = feed.version
        await store(database, call(1))
        await until(lambda: first.is_set() and second.is_set())
        assert feed.version > version


async def test_pages_poll_while_the_process_cannot_listen() -> None:
    closed = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    feed = ChangeFeed(closed, Metrics(), poll_s=0.001)
    async with feed.subscribe() as changed, asyncio.timeout(60):
        for _ in range(2):
            changed.clear()
            await changed.wait()
    await closed.dispose()


async def test_a_closed_feed_wakes_its_pages(database: Database) -> None:
    feed = ChangeFeed(database, Metrics())
    async with feed.subscribe() as changed:
        changed.clear()
        feed.close()
        assert changed.is_set()
        assert feed.is_closed
