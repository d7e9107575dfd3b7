"""Queued jobs and expired leases."""

from datetime import timedelta

from sqlalchemy import func, update

from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Job, RecordingSid
from tests.support.deliveries import claim, deliver, recording


async def queued(database: Database, count: int) -> list[RecordingSid]:
    sids = [RecordingSid(f"RE{number:032x}") for number in range(count)]
    await deliver(database, *(recording("completed", sid, call_sid=CallSid(f"CA{sid[2:]}")) for sid in sids))
    return sids


async def expire_leases(database: Database) -> None:
    """Expire all leases at once by moving `available_at` into the past of the database's clock."""
    async with database.transaction() as session:
        await session.execute(update(Recording).values(available_at=func.now() - timedelta(milliseconds=1)))


async def one_job(database: Database) -> Job:
    await deliver(database, recording("completed", track="inbound", channels=1))
    (job,) = await claim(database)
    return job
