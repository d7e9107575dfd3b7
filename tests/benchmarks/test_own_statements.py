"""No statement that the service sends by itself reads a whole table that grows with the number of calls."""

import os
import re
from collections.abc import AsyncIterator

import pytest

from amd_service.database.connection import connect
from amd_service.database.pool import Database
from benchmarks.filling import fill
from benchmarks.own_statements import Batches, own_statements
from tests.support.postgres import clone, with_database
from tests.support.query_plans import plans

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CALLS = 8000
# Smaller batches than those of the service: to read a large share of a small table, Postgres prefers the whole table.
OWN = own_statements(Batches(folded=10, compared=10, expired=10, scanned=10))
# `inbox` and `sweep` do not grow: they hold the callbacks of some milliseconds, and a row per account.
GROWING_SCAN = re.compile(
    r"Seq Scan on (?:call_log|recording|verdict|callback|delivery|annotation|review|call_request)\b"
)


@pytest.fixture(scope="module")
async def filled(server_url: str, test_run: str, anyio_backend: str) -> AsyncIterator[Database]:
    name = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_own"
    await clone(server_url, f"amd_test_{test_run}_template", name)
    connection = await connect(with_database(server_url, name), statement_timeout_s=None)
    await fill(connection, CALLS)
    await connection.close()
    database = Database(with_database(server_url, name))
    yield database
    await database.dispose()
    connection = await connect(server_url, statement_timeout_s=None)
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


@pytest.mark.parametrize("name", OWN)
async def test_a_statement_of_the_service_reads_no_growing_table_as_a_whole(filled: Database, name: str) -> None:
    own = OWN[name]
    async with filled.transaction() as session:
        prepared = await own.prepare(session)
        found = await plans(session, lambda session: own.work(session, prepared))
        await session.rollback()
    assert found
    assert GROWING_SCAN.findall(found) == [], found
