"""No statement that the service sends by itself reads a whole table that grows with the number of calls."""

import re
from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from benchmarks.filling import fill
from benchmarks.own_statements import Batches, own_statements
from tests.support.postgres import filled_database
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
    async with filled_database(server_url, test_run, "own", lambda connection: fill(connection, CALLS)) as database:
        yield database


@pytest.mark.parametrize("name", OWN)
async def test_a_statement_of_the_service_reads_no_growing_table_as_a_whole(filled: Database, name: str) -> None:
    own = OWN[name]
    async with filled.transaction() as session:
        prepared = await own.prepare(session)
        found = await plans(session, lambda session: own.work(session, prepared))
        await session.rollback()
    assert found
    assert GROWING_SCAN.findall(found) == [], found
