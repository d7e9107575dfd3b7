"""Test databases on one server. Each database is cloned from a migrated template and emptied between tests."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from amd_service.calls.tables import Base
from amd_service.database.connection import connect
from amd_service.database.pool import Database
from amd_service.database.schema import migrate


def with_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def as_role(url: str, role: str, password: str) -> str:
    """The URL of the same database for another role."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))


async def clone(server_url: str, template: str, own: str) -> None:
    connection = await connect(server_url, statement_timeout_s=None)
    try:
        await connection.execute("select pg_advisory_lock(hashtext($1))", template)
        if not await connection.fetchval("select true from pg_database where datname = $1", template):
            await connection.execute(f'create database "{template}"')
            await migrate(with_database(server_url, template))
        await connection.execute(f'create database "{own}" template "{template}"')
    finally:
        await connection.close()


async def drop(server_url: str, template: str, own: str) -> None:
    connection = await connect(server_url, statement_timeout_s=None)
    try:
        await connection.execute("select pg_advisory_lock(hashtext($1))", template)
        await connection.execute(f'drop database "{own}" with (force)')
        await connection.execute(f'drop database if exists "{template}"')
    finally:
        await connection.close()


@asynccontextmanager
async def filled_database(
    server_url: str, test_run: str, name: str, fill: Callable[[Any], Awaitable[object]]
) -> AsyncIterator[Database]:
    """A database for one test file, filled through a connection without a time limit, and dropped at the end."""
    own = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{name}"
    await clone(server_url, f"amd_test_{test_run}_template", own)
    connection = await connect(with_database(server_url, own), statement_timeout_s=None)
    await fill(connection)
    await connection.close()
    database = Database(with_database(server_url, own))
    yield database
    await database.dispose()
    connection = await connect(server_url, statement_timeout_s=None)
    await connection.execute(f'drop database "{own}" with (force)')
    await connection.close()


# DELETE is 50 times faster than TRUNCATE on such small tables, and one round trip for all of them takes 1 ms.
_DELETE_EVERYTHING = ";".join(f'delete from "{table.name}"' for table in reversed(Base.metadata.sorted_tables))


class Emptying:
    """Deletes every row of a database, through a connection and an event loop of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._runner = asyncio.Runner()
        self._connection: Any = None

    def empty(self) -> None:
        """Delete every row. Must not be called in a running event loop."""
        self._runner.run(self._empty())

    def close(self) -> None:
        if self._connection is not None:
            self._runner.run(self._connection.close())
        self._runner.close()

    async def _empty(self) -> None:
        # A test may have ended the connection.
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url, statement_timeout_s=None)
        await self._connection.execute(_DELETE_EVERYTHING)


async def empty(database: Database) -> None:
    """Delete every row."""
    connection = await connect(database.url, statement_timeout_s=None)
    try:
        await connection.execute(_DELETE_EVERYTHING)
    finally:
        await connection.close()
