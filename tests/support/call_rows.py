"""Rows of `call_log` with chosen values."""

from datetime import UTC, datetime, timedelta
from typing import Any

from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label
from tests.support.sids import ACCOUNT

BEGAN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def numbered_sid(number: int) -> CallSid:
    return CallSid(f"CA{number:032x}")


def call(number: int, **fields: Any) -> CallLog:
    """A call that began `number` minutes after BEGAN. With `label`: a judged call with a confident verdict."""
    created_at = BEGAN + timedelta(minutes=number)
    known: dict[str, Any] = {"call_status": "completed", "analysis_state": "waiting", "created_at": created_at}
    if fields.get("label"):
        undecided = fields["label"] is Label.UNDECIDED
        known |= {
            "analysis_state": "judged",
            "confidence": 0.6 if undecided else 0.95,
            "reason": "low_confidence" if undecided else "confident",
            "verdict_at": created_at + timedelta(seconds=20),
        }
    return CallLog(call_sid=numbered_sid(number), account_sid=ACCOUNT, **known | fields)


async def store(database: Database, *rows: Any) -> None:
    async with database.transaction() as session:
        for row in rows:
            session.add(row)
            await session.flush()
