"""Reads one call as JSON, with its recordings and verdicts, for the API and the command line."""

from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import Base, CallLog, Recording, VerdictRow
from amd_service.domain import CallSid, Source


async def read_call(session: AsyncSession, call_sid: CallSid) -> dict[str, Any] | None:
    """Return the call's row as JSON, or None for an unknown call.

    `recordings` are sorted by start, `verdicts` and `shadow_runs` (of another model) by time. Keys are the column names
    in docs/call_log.md. Times are ISO 8601 in UTC.
    """
    call = await session.get(CallLog, call_sid, populate_existing=True)
    if call is None:
        return None
    recordings = await session.scalars(
        select(Recording)
        .where(Recording.call_sid == call_sid)
        .order_by(Recording.started_at.nulls_last(), Recording.recording_sid)
    )
    statement = select(VerdictRow).join(Recording).where(Recording.call_sid == call_sid).order_by(VerdictRow.id)
    runs = (await session.scalars(statement)).all()
    return as_json(call) | {
        "recordings": [as_json(recording) for recording in recordings],
        "verdicts": [as_json(run) for run in runs if run.source != Source.SHADOW],
        "shadow_runs": [as_json(run) for run in runs if run.source == Source.SHADOW],
    }


def as_json(row: Base) -> dict[str, Any]:
    """Return the columns of a row by name. Times are ISO 8601 in UTC."""
    values = {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in values.items()}


async def find_recording(session: AsyncSession, call_sid: CallSid, recording_sid: str) -> Recording | None:
    """Return a recording or live stream of this call, or None if it belongs to another call or does not exist."""
    recording = await session.get(Recording, recording_sid)
    return recording if recording is not None and recording.call_sid == call_sid else None
