"""Callers share one lookup of the condition of a database, which holds no connection while it reads files."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.database.condition import ConditionWatch, SchemaState
from amd_service.database.pool import Database
from amd_service.database.revisions import Revisions
from amd_service.errors import DatabaseUnavailable

pytestmark = pytest.mark.anyio


class Transactions:
    """Counts the transactions of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.begun = self.open = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncSession]:
        async with self._database.transaction() as session:
            self.begun += 1
            self.open += 1
            yield session
            self.open -= 1


async def test_concurrent_callers_share_one_connection(database: Database) -> None:
    transactions = Transactions(database)
    watch = ConditionWatch(transactions, max_age_s=60.0)
    found = await asyncio.gather(*(watch.condition() for _ in range(50)))
    assert {condition.state for condition in found} == {SchemaState.CURRENT}
    assert transactions.begun == 1


async def test_concurrent_callers_share_one_error() -> None:
    attempts: list[None] = []

    @asynccontextmanager
    async def unavailable() -> AsyncIterator[AsyncSession]:
        attempts.append(None)
        raise DatabaseUnavailable("away")
        yield

    watch = ConditionWatch(unavailable, max_age_s=60.0)
    errors = await asyncio.gather(*(watch.condition() for _ in range(9)), return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(DatabaseUnavailable, "away")] * 9
    assert len(attempts) == 1


async def test_a_cancelled_caller_does_not_cancel_the_others(database: Database) -> None:
    cancelled = asyncio.create_task(database.condition())
    waiting = asyncio.create_task(database.condition())
    await asyncio.sleep(0)
    cancelled.cancel()
    assert (await waiting).state is SchemaState.CURRENT


async def test_migrations_are_read_once_and_while_no_connection_is_held(database: Database) -> None:
    transactions = Transactions(database)
    reads: list[tuple[int, bool]] = []

    def read() -> Revisions:
        reads.append((transactions.open, threading.current_thread() is threading.main_thread()))
        return Revisions(frozenset(), None)

    watch = ConditionWatch(transactions, max_age_s=0.0, read_revisions=read)
    for _ in range(2):
        assert (await watch.condition()).state is SchemaState.NEWER
    assert reads == [(0, False)]
    assert transactions.begun == 2
