"""Reads for the API, the pages and the lab."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import Base, CallLog, Recording, VerdictRow
from amd_service.calls.tables.recording import TO_ERASE
from amd_service.domain import CallSid


async def read_call(session: AsyncSession, call_sid: CallSid) -> dict[str, Any] | None:
    """The call's row, ready for JSON, with `recordings` by start and `verdicts` by time; None for an unknown call.

    Keys are the column names of docs/call_log.md; times are ISO 8601 in UTC.
    """
    call = await session.get(CallLog, call_sid, populate_existing=True)
    if call is None:
        return None
    recordings = await session.scalars(
        select(Recording)
        .where(Recording.call_sid == call_sid)
        .order_by(Recording.started_at.nulls_last(), Recording.recording_sid)
    )
    verdicts = await session.scalars(
        select(VerdictRow).join(Recording).where(Recording.call_sid == call_sid).order_by(VerdictRow.id)
    )
    return _as_json(call) | {
        "recordings": [_as_json(recording) for recording in recordings],
        "verdicts": [_as_json(verdict) for verdict in verdicts],
    }


async def count_copies(session: AsyncSession) -> int:
    """Recordings with a verdict of which Twilio may still hold a copy, those of other applications included."""
    return await session.scalar(select(func.count()).select_from(Recording).where(text(TO_ERASE))) or 0


def _as_json(row: Base) -> dict[str, Any]:
    return {column.key: _plain(getattr(row, column.key)) for column in inspect(type(row)).column_attrs}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
