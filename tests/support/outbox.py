"""A database whose transactions write events for backends, and the rows of deliveries."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import func, select, update

from amd_service.calls import deliveries
from amd_service.calls.tables import Delivery
from amd_service.database.pool import Database
from amd_service.domain import DeliveryJob
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.sids import CALL
from tests.support.verdicts import HUMAN

URL = "https://backend.example.com/amd"


@asynccontextmanager
async def with_backends(database: Database, *urls: str) -> AsyncIterator[Database]:
    """The same database, opened by a process with these AMD_DELIVERY_URL."""
    opened = Database(database.url, delivery_urls=urls)
    try:
        yield opened
    finally:
        await opened.dispose()


async def judge_call(database: Database, call_sid: str = CALL, recording_sid: str = "RE" + "7" * 32) -> None:
    """Judge one recording of a call."""
    await deliver(database, recording("completed", recording_sid, call_sid=call_sid))  # type: ignore[arg-type]
    for job in await claim(database):
        assert await settle(database, job, HUMAN)


async def rows(database: Database) -> Sequence[Delivery]:
    async with database.transaction() as session:
        found = select(Delivery).order_by(Delivery.id).execution_options(populate_existing=True)
        return (await session.scalars(found)).all()


async def claim_deliveries(
    database: Database, url: str = URL, *, limit: int = 10, lease_s: float = 60.0
) -> list[DeliveryJob]:
    async with database.transaction() as session:
        return await deliveries.claim(session, url=url, worker="worker-1", limit=limit, lease_s=lease_s)


async def make_due(database: Database) -> None:
    """Let all delays and leases end at once."""
    async with database.transaction() as session:
        await session.execute(update(Delivery).values(available_at=func.now() - timedelta(milliseconds=1)))
