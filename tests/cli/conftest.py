"""Fixtures for commands that use the database."""

import asyncio

import pytest

from amd_service.database.pool import Database
from tests.support.postgres import empty


@pytest.fixture
def emptied(database_url: str) -> None:
    """Delete all rows. The fixture `database` needs an event loop, and a command runs its own."""

    async def delete_rows() -> None:
        database = Database(database_url)
        await empty(database)
        await database.dispose()

    asyncio.run(delete_rows())
