"""The service behind PgBouncer, which gives a connection to Postgres to a client for one transaction only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from amd_service.cli.doctor.check_result import Health
from amd_service.cli.doctor.database import check_database
from amd_service.database.condition import SchemaState
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from amd_service.domain import Job, Verdict
from amd_service.errors import ConfigurationError, DatabaseMisconfigured
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.support.app import STATUS, App, open_app
from tests.support.deliveries import recording_row
from tests.support.embedded import execute
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import with_database
from tests.support.queued import queued
from tests.support.verdicts import HUMAN
from tests.support.waiting import until
from tests.support.workers import is_in, make_worker

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


async def test_without_a_direct_url_the_listener_ends_and_the_worker_polls(
    pooled: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    worker = make_worker(pooled)
    running = asyncio.create_task(worker.run(finish_s=5, release_s=5))
    (sid,) = await queued(pooled, 1)
    await until(lambda: is_in(pooled, sid, "done"))
    worker.stop()
    await running
    captured = capfd.readouterr()
    assert "AMD_DATABASE_LISTEN_URL" in captured.out + captured.err
    async with pooled.transaction() as session:
        listening = "select count(*) from pg_stat_activity where query ilike 'listen%' and datname = current_database()"
        assert await session.scalar(text(listening)) == 0


@pytest.mark.parametrize("pool_mode", ["direct", "session"])
async def test_the_listen_url_delivers_notifications_behind_a_pooler(
    database: Database, pooler_url: str, pool_mode: str
) -> None:
    with ExitStack() as stack:
        session_pooler = pgbouncer(database.url, pool_mode="session")
        listen_url = database.url if pool_mode == "direct" else stack.enter_context(session_pooler)
        pooled = Database(pooler_url, listen_url=listen_url)
        wake = asyncio.Event()
        async with asyncio.timeout(60), pooled.wake_on_notify(wake, Metrics()) as listener:
            await listener.listening.wait()
            wake.clear()
            await queued(pooled, 1)
            await wake.wait()
        await pooled.dispose()


@pytest.mark.parametrize(
    ("listen", "health", "said"),
    [
        (None, Health.WARN, "set AMD_DATABASE_LISTEN_URL"),
        ("pooler", Health.WARN, "pool_mode=session"),
        ("direct", Health.OK, "AMD_DATABASE_LISTEN_URL leads to Postgres itself"),
        ("missing", Health.FAIL, "AMD_DATABASE_LISTEN_URL"),
    ],
)
async def test_the_doctor_recognises_a_pooler(
    database: Database, pooler_url: str, listen: str | None, health: Health, said: str
) -> None:
    missing = with_database(database.url, "not_there")
    urls = {None: None, "pooler": pooler_url, "direct": database.url, "missing": missing}
    results = check_database(Settings(_env_file=None, database_url=pooler_url, database_listen_url=urls[listen]))
    found = await anext(result async for result in results if result.check == "notifications")
    assert (found.health, said in found.text) == (health, True)


def test_an_unusable_listen_url_is_an_error_that_names_the_setting(pooler_url: str) -> None:
    with pytest.raises(ConfigurationError, match="AMD_DATABASE_LISTEN_URL begins with 'mysql'"):
        Database(pooler_url, listen_url="mysql://user:hidden@host/name")


async def test_the_pgbouncer_parameter_of_prisma_is_accepted(database: Database, pooler_url: str) -> None:
    pooled = Database(f"{pooler_url}&pgbouncer=true&connection_limit=1")
    assert (await pooled.condition()).state is SchemaState.CURRENT
    await pooled.dispose()


@pytest.mark.parametrize("parameter", ["search_path=public", "options=-c%20lock_timeout%3D1s"])
async def test_a_parameter_that_the_pooler_refuses_is_named(
    database: Database, pooler_url: str, parameter: str
) -> None:
    pooled = Database(f"{pooler_url}&{parameter}")
    with pytest.raises(DatabaseMisconfigured, match=f"unsupported startup parameter.*{parameter.partition('=')[0]}"):
        await pooled.condition()
    await pooled.dispose()


async def test_the_schema_can_be_migrated_through_the_pooler(server_url: str, test_run: str) -> None:
    name = f"amd_test_{test_run}_pooler"
    await execute(server_url, f'create database "{name}"')
    with pgbouncer(with_database(server_url, name), pool_mode="transaction") as url:
        await asyncio.gather(*(migrate(url) for _ in range(3)))
        database = Database(url)
        assert (await database.condition()).state is SchemaState.CURRENT
        await database.dispose()
    await execute(server_url, f'drop database "{name}" with (force)')
