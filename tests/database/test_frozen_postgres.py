"""Postgres that is alive and does not respond, as on a machine that swaps or has a broken disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from amd_service.database.connection import connect
from amd_service.database.embedded import embedded_postgres
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from amd_service.settings import RETRY_OVERRIDES
from amd_service.simulator.twilio.signed_callbacks import ConnectionRules
from tests.support.app import STATUS, App, open_app

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

READ_TIMEOUT_S = ConnectionRules.from_fragment(RETRY_OVERRIDES).read_s
CONCURRENCY = 30


@pytest.fixture
async def own_url(anyio_backend: str) -> AsyncIterator[str]:
    """A migrated Postgres that only this test uses, so that the test may stop it."""
    async with embedded_postgres(None) as url:
        await migrate(url)
        yield url


@pytest.fixture
async def service(own_url: str) -> AsyncIterator[App]:
    database = Database(own_url)
    opened = open_app(database)
    yield opened
    await opened.client.aclose()
    await database.dispose()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop the postmaster and its children until the context ends."""
    postmaster = psutil.Process(pid)
    # The postmaster first, so that it starts no further child.
    postmaster.suspend()
    processes = [*postmaster.children(recursive=True), postmaster]
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # the backend of a closed connection ends on its own
                process.suspend()
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


async def postmaster_of(url: str) -> int:
    connection = await connect(url, statement_timeout_s=10)
    try:
        # Before the connection is closed, because its process ends then.
        return int(psutil.Process(await connection.fetchval("select pg_backend_pid()")).ppid())
    finally:
        await connection.close()


async def deliver(service: App, number: int) -> tuple[int, float]:
    """Deliver a callback of a call. Returns the status of the response and its time in seconds."""
    sid = f"CA{number:032x}"
    pairs = [("CallSid", sid) if name == "CallSid" else (name, value) for name, value in STATUS]
    began = time.monotonic()
    response = await service.callback("/twilio/status", pairs)
    return response.status_code, time.monotonic() - began


async def deliver_many(service: App) -> tuple[set[int], float]:
    """Deliver callbacks of different calls at once. Returns the statuses and the longest time in seconds."""
    results = await asyncio.gather(*(deliver(service, number) for number in range(CONCURRENCY)))
    return {status for status, _ in results}, max(seconds for _, seconds in results)


@pytest.mark.parametrize("is_connected", [True, False])
async def test_callbacks_get_503_within_twilios_read_timeout_and_are_stored_by_the_retry(
    service: App, own_url: str, is_connected: bool
) -> None:
    if is_connected:
        await deliver_many(service)
    postmaster = await postmaster_of(own_url)
    with frozen(postmaster):
        for _ in ("pooled connections", "new connections"):
            statuses, longest_s = await deliver_many(service)
            assert statuses == {503}
            assert longest_s < READ_TIMEOUT_S
    statuses, _ = await deliver_many(service)
    assert statuses == {204}
    assert (await service.rows())["callback"] == CONCURRENCY
