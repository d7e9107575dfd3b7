"""The service behind PgBouncer, which gives a connection to Postgres to a client for one transaction only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from amd_service.database.pool import Database
from amd_service.database.schema import SchemaState, migrate
from amd_service.domain import Job, Verdict
from tests.support.app import STATUS, App, open_app
from tests.support.deliveries import recording_row
from tests.support.embedded import execute
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import with_database
from tests.support.queued import queued
from tests.support.verdicts import HUMAN
from tests.support.workers import make_worker

pytestmark = [pytest.mark.anyio, pytest.mark.pgbouncer]

SIDS = [f"CA{number:032x}" for number in range(60)]
CONCURRENCY = 12


@pytest.fixture
def pooler_url(database_url: str) -> Iterator[str]:
    with pgbouncer(database_url, pool_mode="transaction") as url:
        yield url


@pytest.fixture
async def pooled(database: Database, pooler_url: str) -> AsyncIterator[Database]:
    """The same database as `database`, through PgBouncer."""
    pooled = Database(pooler_url)
    yield pooled
    await pooled.dispose()


@pytest.fixture
async def service(pooled: Database) -> AsyncIterator[App]:
    opened = open_app(pooled)
    yield opened
    await opened.client.aclose()


async def test_concurrent_callbacks_are_all_stored(service: App) -> None:
    slots = asyncio.Semaphore(CONCURRENCY)

    async def report(sid: str) -> int:
        pairs = [("CallSid", sid) if name == "CallSid" else (name, value) for name, value in STATUS]
        async with slots:
            return (await service.callback("/twilio/status", pairs)).status_code

    assert Counter(await asyncio.gather(*map(report, SIDS))) == {204: len(SIDS)}
    assert await service.rows() == {"call_log": len(SIDS), "callback": len(SIDS), "recording": 0}


async def test_concurrent_workers_judge_every_recording_once(pooled: Database) -> None:
    sids = await queued(pooled, 12)
    judged: list[str] = []

    async def judge(job: Job) -> Verdict:
        judged.append(job.recording_sid)
        return HUMAN

    await asyncio.gather(*(make_worker(pooled, judge).drain() for _ in range(3)))
    assert sorted(judged) == sids
    assert {(await recording_row(pooled, sid)).state for sid in sids} == {"done"}


async def test_the_schema_can_be_migrated_through_the_pooler(server_url: str, test_run: str) -> None:
    name = f"amd_test_{test_run}_pooler"
    await execute(server_url, f'create database "{name}"')
    with pgbouncer(with_database(server_url, name), pool_mode="transaction") as url:
        await asyncio.gather(*(migrate(url) for _ in range(3)))
        database = Database(url)
        assert await database.schema_state() is SchemaState.CURRENT
        await database.dispose()
    await execute(server_url, f'drop database "{name}" with (force)')
