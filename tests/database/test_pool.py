"""The connection pool and its transactions."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from amd_service.database.connection import open_admin_engine
from amd_service.database.pool import Database, Timeouts
from amd_service.errors import DatabaseUnavailable
from tests.support.postgres import with_database
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            await session.execute(text("create table lost (id int)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.transaction() as session:
        assert await session.scalar(text("select to_regclass('lost')")) is None


async def test_error_messages_contain_no_parameters(database: Database) -> None:
    async with open_admin_engine(database.url) as engine, engine.connect() as connection:
        with pytest.raises(ProgrammingError) as caught:
            await connection.execute(text("select :number from no_such_table"), {"number": "+15005550006"})
    assert "+15005550006" not in str(caught.value)
    with pytest.raises(ProgrammingError) as caught:
        async with database.transaction() as session:
            await session.execute(text("select :number from no_such_table"), {"number": "+15005550006"})
    assert "+15005550006" not in str(caught.value)


async def test_a_missing_server_is_unavailable(tmp_path: Path) -> None:
    for url in (f"postgresql://u@/n?host={tmp_path}", "postgresql://u:p@127.0.0.1:1/n"):
        database = Database(url)
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as session:
                await session.execute(text("select 1"))
        await database.dispose()


async def test_a_missing_database_is_unavailable_and_the_error_names_it(server_url: str) -> None:
    database = Database(with_database(server_url, "not_there"))
    with pytest.raises(DatabaseUnavailable, match="not_there"):
        await database.condition()
    await database.dispose()


async def test_a_connection_killed_in_a_transaction_is_unavailable_and_replaced(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as session:
            await session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
    async with database.transaction() as session:
        assert await session.scalar(text("select 1")) == 1


async def test_connections_closed_while_idle_are_replaced_without_an_error(database: Database) -> None:
    async with database.transaction() as session:
        backend = await session.scalar(text("select pg_backend_pid()"))
    other = Database(database.url)
    async with other.transaction() as session:
        await session.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": backend})
    await other.dispose()
    async with database.transaction() as session:
        assert await session.scalar(text("select pg_backend_pid()")) != backend


def test_the_timeouts_are_well_inside_the_15_seconds_that_twilio_waits() -> None:
    assert Timeouts().pool_s + Timeouts().transaction_s < 15 - 5


async def test_a_full_pool_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1, timeouts=Timeouts(pool_s=0.3))
    async with database.transaction() as session:
        await session.execute(text("select 1"))
        with pytest.raises(DatabaseUnavailable, match="in time"):
            async with database.transaction() as second:
                await second.execute(text("select 1"))
    await database.dispose()


async def test_slow_reads_leave_connections_for_callbacks(database_url: str) -> None:
    database = Database(database_url, pool_size=3, timeouts=Timeouts(pool_s=0.3))
    release = asyncio.Event()

    async def read() -> None:
        async with database.reading():
            await release.wait()

    readers = [asyncio.create_task(read()) for _ in range(5)]
    await until(lambda: sum(reader.done() for reader in readers) == 4)
    assert {type(reader.exception()) for reader in readers if reader.done()} == {DatabaseUnavailable}
    async with database.transaction() as first, database.transaction() as second:
        assert await first.scalar(text("select 1")) == await second.scalar(text("select 1"))
    release.set()
    await asyncio.gather(*readers, return_exceptions=True)
    await database.dispose()


async def test_a_bug_in_a_statement_is_not_translated(database: Database) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught:
        async with database.transaction() as session:
            await session.execute(text("select * from no_such_table"))
    assert not isinstance(caught.value, DatabaseUnavailable)


@asynccontextmanager
async def proxy(database_url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A proxy to the server. When the event is set, the proxy drops all data, like a broken network."""
    query = parse_qs(urlsplit(database_url).query)
    frozen = asyncio.Event()
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not frozen.is_set():
                    writer.write(data)
        except ConnectionResetError:
            pass  # the service closes a connection that does not respond without a goodbye
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "host" in query:
            server = await asyncio.open_unix_connection(f"{query['host'][0]}/.s.PGSQL.5432")
        else:
            server = await asyncio.open_connection(urlsplit(database_url).hostname, urlsplit(database_url).port or 5432)
        pumps.update({asyncio.create_task(pump(reader, server[1])), asyncio.create_task(pump(server[0], writer))})

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    parts = urlsplit(database_url)
    user = parts.netloc.rpartition("@")[0] or "postgres"
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}{parts.path}?sslmode=disable", frozen
    finally:
        listener.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def test_a_server_that_does_not_respond_is_unavailable_after_the_timeout(database_url: str) -> None:
    async with proxy(database_url) as (url, frozen):
        database = Database(url, timeouts=Timeouts(connect_s=1.5, transaction_s=1.5))
        async with database.transaction() as session:
            await session.execute(text("select 1"))
        frozen.set()
        for _ in ("a pooled connection", "a new connection"):
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                async with database.transaction() as session:
                    await session.execute(text("select 1"))
            assert time.monotonic() - began < 10
        await database.dispose()
