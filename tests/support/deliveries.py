"""Deliver callbacks in tests, and read the rows that they create."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import intake, queue
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Base, CallLog, Recording, VerdictRow
from amd_service.database.pool import Database
from amd_service.domain import (
    Action,
    AmdCallback,
    CallSid,
    Job,
    Label,
    RawCallback,
    RecordingCallback,
    RecordingSid,
    StatusCallback,
    Tagging,
    Verdict,
)
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.telemetry import Metrics
from tests.support.sids import ACCOUNT, CALL, RECORDING

KEEP = NumberPolicy("keep")
BEGAN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

Event = StatusCallback | RecordingCallback | AmdCallback


@dataclass(frozen=True, slots=True)
class Tagged:
    """A callback whose URL names a campaign or tags."""

    event: Event
    tagging: Tagging


Delivery = Event | Tagged


def status(call_status: str, sequence: int | None = None, **fields: Any) -> StatusCallback:
    position = {"initiated": 0, "ringing": 1, "in-progress": 2}.get(call_status, 3) if sequence is None else sequence
    fields.setdefault("timestamp", BEGAN + timedelta(seconds=5 * position))
    fields.setdefault("call_sid", CALL)
    fields.setdefault("account_sid", ACCOUNT)
    return StatusCallback(call_status=call_status, sequence_number=position, **{"direction": "outbound-api"} | fields)


def recording(recording_status: str, sid: RecordingSid = RECORDING, **fields: Any) -> RecordingCallback:
    fields.setdefault("call_sid", CALL)
    fields.setdefault("account_sid", ACCOUNT)
    fields.setdefault("started_at", BEGAN + timedelta(seconds=10 if sid == RECORDING else 20))
    return RecordingCallback(recording_sid=sid, recording_status=recording_status, **{"source": "OutboundAPI"} | fields)


def amd(answered_by: str, took_ms: int | None = None, **fields: Any) -> AmdCallback:
    known = {"account_sid": ACCOUNT, "call_sid": CALL} | fields
    return AmdCallback(answered_by=answered_by, machine_detection_ms=took_ms, **known)


def raw_of(delivery: Delivery) -> RawCallback:
    if isinstance(delivery, Tagged):
        return replace(raw_of(delivery.event), tagging=delivery.tagging)
    route = {StatusCallback: "status", RecordingCallback: "recording", AmdCallback: "amd"}[type(delivery)]
    return RawCallback(route, (("Body", repr(delivery)), ("CallSid", delivery.call_sid or "")))


async def deliver(database: Database, *deliveries: Delivery) -> list[bool]:
    """Store and fold each callback in a separate transaction. Returns False for each duplicate."""
    return [await _deliver_one(database, delivery) for delivery in deliveries]


async def _deliver_one(database: Database, delivery: Delivery) -> bool:
    raw, event = raw_of(delivery), delivery.event if isinstance(delivery, Tagged) else delivery
    async with database.transaction() as session:
        return await intake.store(session, raw, event, KEEP)


async def call_row(database: Database, call_sid: CallSid = CALL) -> CallLog:
    async with database.transaction() as session:
        return (await session.scalars(select(CallLog).where(CallLog.call_sid == call_sid))).one()


async def recording_row(database: Database, sid: RecordingSid = RECORDING) -> Recording:
    async with database.transaction() as session:
        return (await session.scalars(select(Recording).where(Recording.recording_sid == sid))).one()


async def verdict_rows(database: Database) -> list[VerdictRow]:
    async with database.transaction() as session:
        return list((await session.scalars(select(VerdictRow).order_by(VerdictRow.id))).all())


async def snapshot(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows except raw callbacks, without the columns that contain the time of writing."""
    async with database.transaction() as session:
        return {table: await _rows(session, table) for table in ("call_log", "recording", "verdict")}


async def _rows(session: AsyncSession, name: str) -> list[dict[str, Any]]:
    table = Base.metadata.tables[name]
    clock = {
        "created_at",
        "updated_at",
        "available_at",
        "erase_after",
        "queued_at",
        "finished_at",
        "verdict_at",
        "verdict_ms",
        "id",
    }
    columns = [column for column in table.columns if column.name not in clock]
    rows = await session.execute(select(*columns).order_by(*list(table.primary_key.columns)))
    return [dict(row) for row in rows.mappings()]


async def claim(database: Database, worker: str = "worker-1", *, limit: int = 10, lease_s: float = 60.0) -> list[Job]:
    jobs, _ = await claim_or_give_up(database, worker, limit=limit, lease_s=lease_s)
    return jobs


async def claim_or_give_up(
    database: Database, worker: str = "worker-1", *, limit: int = 10, lease_s: float = 60.0
) -> tuple[list[Job], Mapping[str, int]]:
    """Claim jobs, and return them with the number of jobs that were given up, by the reason."""
    queue = RecordingQueue(database, worker=worker, lease_s=lease_s, max_attempts=3, actions={}, metrics=Metrics())
    jobs = await queue.claim(limit)
    return jobs, await queue.after_claim(jobs, limit)


async def settle(database: Database, job: Job, verdict: Verdict, wanted: Mapping[Label, Action] | None = None) -> bool:
    async with database.transaction() as session:
        return await queue.settle(session, job, verdict, wanted or {}) is not None
