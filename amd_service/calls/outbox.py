"""Writes the events of a call for the backends, in the transaction that writes the final state of the call."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import CallLog, Delivery
from amd_service.domain import DELIVERY_URLS, EVENT_OF_STATE, AnalysisState, DeliveryState

# Columns of `call_log` in a payload. Phone numbers are missing on purpose: a payload is kept for weeks, and a backend
# knows the numbers from the CallSid.
COLUMNS = (
    "call_sid",
    "account_sid",
    "parent_call_sid",
    "direction",
    "call_status",
    "answered_at",
    "analysis_state",
    "label",
    "confidence",
    "reason",
    "heard",
    "channels_mixed",
    "model_id",
    "model_revision",
    "verdict_at",
    "verdict_source",
    "recording_sid",
    "answer_to_verdict_ms",
    "twilio_answered_by",
    "campaign",
    "tags",
)


def outcome_of(call: CallLog) -> tuple[object, ...]:
    """Return the values of a call whose change makes an event. A second verdict with the same label makes none."""
    return call.analysis_state, call.label, call.reason, call.recording_sid


async def add_events(session: AsyncSession, calls: Sequence[CallLog]) -> None:
    """Write an event about the final state of each locked call, one row per URL. Other states have no event.

    The lock on a call keeps its sequence numbers in the order of the commits.
    """
    urls: Sequence[str] = session.info.get(DELIVERY_URLS, ())
    ended = [call for call in calls if AnalysisState(call.analysis_state) in EVENT_OF_STATE]
    if not ended or not urls:
        return
    now: datetime = (await session.scalars(select(func.now()))).one()
    rows = []
    for call in ended:
        call.events += 1
        event_type = EVENT_OF_STATE[AnalysisState(call.analysis_state)]
        data = {"sequence": call.events} | {name: _json_value(getattr(call, name)) for name in COLUMNS}
        event = {"type": event_type, "timestamp": _json_value(now), "data": data}
        values = {
            "call_sid": call.call_sid,
            "sequence": call.events,
            "type": event_type,
            "payload": json.dumps(event, ensure_ascii=False, separators=(",", ":")),
            "state": DeliveryState.QUEUED,
        }
        rows += [values | {"url": url} for url in urls]
    await session.execute(insert(Delivery), rows)


def _json_value(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
