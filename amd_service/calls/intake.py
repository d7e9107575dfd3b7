"""Stores callbacks, and updates the rows of their call and recording.

Storing a callback twice changes nothing, and the order of arrival does not matter.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import facts
from amd_service.calls.analysis import ensure_call, lock_call, refresh_call
from amd_service.calls.call_tagging import tagging_to_json, update_tagging
from amd_service.calls.conclusion import WITHOUT_AUDIO
from amd_service.calls.known_values import unknown_values
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.storable import LARGEST_INTEGER, storable
from amd_service.calls.tables import Callback, CallLog, Recording, RecordingState
from amd_service.domain import (
    REST_ROUTE,
    STREAM_ROUTE,
    AmdCallback,
    Failure,
    RawCallback,
    RecordingCallback,
    RecordingStatus,
    StatusCallback,
    StreamSid,
    Tagging,
)
from amd_service.telemetry import get_logger

Event = StatusCallback | RecordingCallback | AmdCallback

log = get_logger(__name__)

# Routes that report a call's status: Twilio's status callback, and responses of Twilio's API.
_STATUS_ROUTES = ("status", REST_ROUTE)
_AMD_ROUTE = "amd"

_FAILURE_OF_STATUS: dict[str | None, Failure] = {
    RecordingStatus.ABSENT: Failure.NO_RECORDING,
    RecordingStatus.FAILED: Failure.RECORDING_FAILED,
}


async def store_status(session: AsyncSession, raw: RawCallback, status: StatusCallback, policy: NumberPolicy) -> bool:
    """Store a status callback and update its call. Returns False for a duplicate, which changes nothing."""
    status = policy.redact_event(status)
    if not await _insert_callback(session, policy.redact_request(raw), status):
        return False
    await _update_call(session, status, raw.tagging)
    return True


async def store_amd(session: AsyncSession, raw: RawCallback, result: AmdCallback, policy: NumberPolicy) -> bool:
    """Store a result of Twilio's own detection, which never influences our verdict. Returns False for a duplicate."""
    if not await _insert_callback(session, policy.redact_request(raw), result):
        return False
    await _update_call(session, result, raw.tagging)
    return True


async def store_recording(
    session: AsyncSession, raw: RawCallback, recording: RecordingCallback, policy: NumberPolicy
) -> bool:
    """Store a recording callback, and enqueue the recording once it has audio. Returns False for a duplicate.

    Inserts the row of the call if it is missing, because recording callbacks can arrive before status callbacks. If a
    conference recording names no call, only the callback is stored, because the speakers are not known.
    """
    if not await _insert_callback(session, policy.redact_request(raw), recording):
        return False
    if recording.call_sid is None:
        log.warning("conference recording without a call, not judged", conference_sid=recording.conference_sid)
        return True
    if not await ensure_call(session, recording.call_sid, recording.account_sid):
        return True
    row = await _lock_recording(session, recording)
    if (row.account_sid, row.call_sid) != (recording.account_sid, recording.call_sid):
        # A callback that is signed with one account's token must not change another account's recording.
        log.warning("recording of another account or call, ignored", recording_sid=recording.recording_sid)
        return True
    stored = await _stored_facts(session, row, Callback.recording_sid == row.recording_sid)
    _update_columns(row, facts.merge_recording(facts.recordings_from_json(item for _, item in stored)))
    _update_state(row)
    if row.attempts == 0:
        row.traceparent = raw.traceparent or row.traceparent
    call = await lock_call(session, row.call_sid)
    await update_tagging(session, call, raw.tagging)
    await refresh_call(session, call)
    return True


async def store_stream_tagging(session: AsyncSession, call: CallLog, stream_sid: StreamSid, tagging: Tagging) -> None:
    """Store campaign and tags of a live stream like a callback, and write them onto the locked row of its call."""
    if tagging.is_empty:
        return
    raw = RawCallback(STREAM_ROUTE, (("StreamSid", stream_sid),), tagging=tagging)
    await _insert_row(session, raw, call_sid=call.call_sid, account_sid=call.account_sid)
    await update_tagging(session, call, tagging)


async def _update_call(session: AsyncSession, callback: StatusCallback | AmdCallback, tagging: Tagging) -> None:
    """Recompute the call's row from all its stored callbacks. `tagging`: campaign and tags of this callback."""
    if not await ensure_call(session, callback.call_sid, callback.account_sid):
        return
    call = await lock_call(session, callback.call_sid)
    stored = await _stored_facts(session, call, Callback.recording_sid.is_(None))
    statuses = facts.statuses_from_json(item for route, item in stored if route in _STATUS_ROUTES)
    results = facts.amd_results_from_json(item for route, item in stored if route == _AMD_ROUTE)
    merged = facts.merge_call(statuses, results)
    _update_columns(call, merged)
    if merged.twilio_answered_by is not None:
        # `_update_columns` skips None. Without this line the duration of an earlier result would stay beside the new
        # result.
        call.twilio_amd_ms = merged.twilio_amd_ms
    await update_tagging(session, call, tagging)
    await refresh_call(session, call)


async def _insert_callback(session: AsyncSession, raw: RawCallback, callback: Event) -> bool:
    """Insert the callback, and return True if it is new."""
    is_new = await _insert_row(
        session,
        raw,
        call_sid=callback.call_sid,
        recording_sid=callback.recording_sid if isinstance(callback, RecordingCallback) else None,
        account_sid=callback.account_sid,
        values=facts.to_json(callback),
    )
    if is_new:
        for parameter, value in unknown_values(callback).items():
            log.warning("unknown value, kept", parameter=parameter, value=value, call_sid=callback.call_sid)
    return is_new


async def _insert_row(
    session: AsyncSession,
    raw: RawCallback,
    *,
    call_sid: str | None,
    account_sid: str,
    recording_sid: str | None = None,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> bool:
    """Insert a callback with its parsed values, and return True if it is new.

    A concurrent duplicate waits until the first transaction commits.
    """
    statement = insert(Callback).values(
        sha256=fingerprint(raw),
        route=raw.route,
        call_sid=call_sid,
        recording_sid=recording_sid,
        account_sid=account_sid,
        parameters=[[storable(name), storable(value)] for name, value in raw.parameters],
        facts=_storable_facts(values) | tagging_to_json(raw.tagging),
        idempotency_token=None if raw.idempotency_token is None else storable(raw.idempotency_token),
    )
    return await session.scalar(statement.on_conflict_do_nothing().returning(Callback.id)) is not None


def fingerprint(raw: RawCallback) -> str:
    """Return the SHA-256, in hex, of the route, the sorted decoded parameters, and campaign and tags if there are any.

    Campaign and tags are included because the same form can arrive at URLs with and without them. Were the second of
    these callbacks a duplicate, the call's campaign would depend on their order of arrival.
    """
    tagging = [] if raw.tagging.is_empty else [raw.tagging.pairs]
    return hashlib.sha256(json.dumps([raw.route, sorted(raw.parameters), *tagging]).encode()).hexdigest()


def _storable_facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that fit their columns.

    Numbers that are too large for an integer column are invalid, so they are dropped.
    """
    return {
        key: storable(value) if isinstance(value, str) else value
        for key, value in values.items()
        if not isinstance(value, int) or abs(value) <= LARGEST_INTEGER
    }


async def _lock_recording(session: AsyncSession, callback: RecordingCallback) -> Recording:
    """Lock the recording's row. Inserts the row if it is missing."""
    statement = insert(Recording).values(
        recording_sid=callback.recording_sid,
        call_sid=callback.call_sid,
        account_sid=callback.account_sid,
        state=RecordingState.NOTED,
    )
    await session.execute(statement.on_conflict_do_nothing())
    locked = select(Recording).where(Recording.recording_sid == callback.recording_sid).with_for_update(key_share=True)
    return (await session.scalars(locked.execution_options(populate_existing=True))).one()


async def _stored_facts(
    session: AsyncSession, row: CallLog | Recording, about: Any
) -> list[tuple[str, dict[str, Any]]]:
    """Return the route and facts of every callback of a locked row.

    The lock ensures that no committed callback is missing.
    """
    statement = select(Callback.route, Callback.facts).where(
        Callback.call_sid == row.call_sid, Callback.account_sid == row.account_sid, about
    )
    return [(route, values) for route, values in await session.execute(statement)]


def _update_columns(row: CallLog | Recording, merged: facts.CallFacts | facts.RecordingFacts) -> None:
    """Write the facts onto the row.

    None means that Twilio did not report the value, so None never overwrites a value from an earlier callback.
    """
    for column, value in asdict(merged).items():
        if value is not None:
            setattr(row, column, value)


def _update_state(row: Recording) -> None:
    """Set the state that follows from the recording's status, unless a worker has already claimed the recording."""
    ended_by_callback = row.state == RecordingState.DEAD and row.attempts == 0 and row.failure in WITHOUT_AUDIO
    if row.state != RecordingState.NOTED and not ended_by_callback:
        return
    failure = _FAILURE_OF_STATUS.get(row.recording_status)
    if row.recording_status == RecordingStatus.COMPLETED:
        row.state, row.failure, row.finished_at = RecordingState.QUEUED, None, None
        row.queued_at = row.available_at = func.now()
    elif failure is not None:
        row.state, row.failure, row.finished_at = RecordingState.DEAD, failure, func.now()
