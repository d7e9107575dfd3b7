"""Callbacks → rows: idempotent, and proof against any order of arrival."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import history
from amd_service.calls.analysis import WITHOUT_AUDIO, ensure_call, lock_call, refresh_call, refresh_calls
from amd_service.calls.known_values import unknown_values
from amd_service.calls.privacy import NumberPolicy
from amd_service.calls.storable import LARGEST_INTEGER, storable
from amd_service.calls.tables import Callback, CallLog, Recording, RecordingState
from amd_service.domain import (
    REST_ROUTE,
    AmdCallback,
    Failure,
    RawCallback,
    RecordingCallback,
    RecordingStatus,
    StatusCallback,
)
from amd_service.telemetry import get_logger

Event = StatusCallback | RecordingCallback | AmdCallback

log = get_logger(__name__)

# The routes whose callbacks speak of a call's status: Twilio's callback, and what its API told.
_STATUS_ROUTES = ("status", REST_ROUTE)
_AMD_ROUTE = "amd"

_FAILURE_OF_STATUS: dict[str | None, Failure] = {
    RecordingStatus.ABSENT: Failure.NO_RECORDING,
    RecordingStatus.FAILED: Failure.RECORDING_FAILED,
}


async def store_status(session: AsyncSession, raw: RawCallback, status: StatusCallback, numbers: NumberPolicy) -> bool:
    """Keep a status callback and bring the call's row up to date. False for a duplicate: nothing is changed."""
    raw, status = numbers.raw(raw), numbers.event(status)
    if not await _keep(session, raw, status):
        return False
    await _retell_call(session, status)
    return True


async def store_amd(session: AsyncSession, raw: RawCallback, result: AmdCallback, numbers: NumberPolicy) -> bool:
    """Keep a result of Twilio's own detection, beside our verdict and without a say in it. False for a duplicate."""
    if not await _keep(session, numbers.raw(raw), result):
        return False
    await _retell_call(session, result)
    return True


async def store_recording(
    session: AsyncSession, raw: RawCallback, recording: RecordingCallback, numbers: NumberPolicy
) -> bool:
    """Keep a recording callback and put the recording up for work once it has audio. False for a duplicate.

    A call nobody has told us about yet gets its row here: recording callbacks may overtake status callbacks. The
    recording of a conference that names no call is kept as a callback and goes no further: nobody can say whom it
    would judge.
    """
    raw = numbers.raw(raw)
    if not await _keep(session, raw, recording):
        return False
    if recording.call_sid is None:
        log.warning("recording of a conference, kept but not judged", conference_sid=recording.conference_sid)
        return True
    if not await ensure_call(session, recording.call_sid, recording.account_sid):
        return True
    row = await _locked_recording(session, recording)
    if _is_foreign(row, recording):
        return True
    told = await _facts(session, row, Callback.recording_sid == row.recording_sid)
    _update(row, history.recording_facts(history.recordings_from(facts for _, facts in told)))
    _advance(row)
    await refresh_calls(session, [row.call_sid])
    return True


async def _retell_call(session: AsyncSession, callback: StatusCallback | AmdCallback) -> None:
    """Write the call's row anew from all that was said of it."""
    if not await ensure_call(session, callback.call_sid, callback.account_sid):
        return
    call = await lock_call(session, callback.call_sid)
    told = await _facts(session, call, Callback.recording_sid.is_(None))
    statuses = history.statuses_from(facts for route, facts in told if route in _STATUS_ROUTES)
    results = history.amd_results_from(facts for route, facts in told if route == _AMD_ROUTE)
    facts = history.call_facts(statuses, results)
    _update(call, facts)
    if facts.twilio_answered_by is not None:
        call.twilio_amd_ms = facts.twilio_amd_ms  # of this answer: what an earlier one took may not stay beside it
    await refresh_call(session, call)


async def _keep(session: AsyncSession, raw: RawCallback, callback: Event) -> bool:
    """Insert the callback; whether it is new. A concurrent twin waits here until the first one has committed."""
    statement = insert(Callback).values(
        sha256=fingerprint(raw),
        route=raw.route,
        call_sid=callback.call_sid,
        recording_sid=callback.recording_sid if isinstance(callback, RecordingCallback) else None,
        account_sid=callback.account_sid,
        parameters=[[storable(name), storable(value)] for name, value in raw.parameters],
        facts=_storable_facts(history.to_facts(callback)),
        idempotency_token=None if raw.idempotency_token is None else storable(raw.idempotency_token),
    )
    if await session.scalar(statement.on_conflict_do_nothing().returning(Callback.id)) is None:
        return False
    for parameter, value in unknown_values(callback).items():
        log.warning("unknown value, kept", parameter=parameter, value=value, call_sid=callback.call_sid)
    return True


def fingerprint(raw: RawCallback) -> str:
    """SHA-256, in hex, of the route and the sorted decoded parameters."""
    return hashlib.sha256(json.dumps([raw.route, sorted(raw.parameters)]).encode()).hexdigest()


def _storable_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that fit their columns. A number beyond any real one says nothing."""
    return {
        key: storable(value) if isinstance(value, str) else value
        for key, value in facts.items()
        if not isinstance(value, int) or abs(value) <= LARGEST_INTEGER
    }


async def _locked_recording(session: AsyncSession, callback: RecordingCallback) -> Recording:
    statement = insert(Recording).values(
        recording_sid=callback.recording_sid,
        call_sid=callback.call_sid,
        account_sid=callback.account_sid,
        state=RecordingState.NOTED,
    )
    await session.execute(statement.on_conflict_do_nothing())
    locked = select(Recording).where(Recording.recording_sid == callback.recording_sid).with_for_update(key_share=True)
    return (await session.scalars(locked.execution_options(populate_existing=True))).one()


def _is_foreign(row: Recording, callback: RecordingCallback) -> bool:
    """Whether a callback names a recording of another account or call: one's token must not move another's."""
    if (row.account_sid, row.call_sid) == (callback.account_sid, callback.call_sid):
        return False
    log.warning("recording of another account or call, kept but not used", recording_sid=callback.recording_sid)
    return True


async def _facts(session: AsyncSession, row: CallLog | Recording, about: Any) -> list[tuple[str, dict[str, Any]]]:
    """Route and facts of every callback of the row. It is locked, so none can be missing that has been committed."""
    statement = select(Callback.route, Callback.facts).where(
        Callback.call_sid == row.call_sid, Callback.account_sid == row.account_sid, about
    )
    return [(route, facts) for route, facts in await session.execute(statement)]


def _update(row: CallLog | Recording, facts: history.CallFacts | history.RecordingFacts) -> None:
    """Write what is known. None is no news: it never blanks what an earlier callback said."""
    for column, value in asdict(facts).items():
        if value is not None:
            setattr(row, column, value)


def _advance(row: Recording) -> None:
    """Move an untouched recording to where its status says; what a worker has touched is the worker's."""
    ended_by_callback = row.state == RecordingState.DEAD and row.attempts == 0 and row.failure in WITHOUT_AUDIO
    if row.state != RecordingState.NOTED and not ended_by_callback:
        return
    failure = _FAILURE_OF_STATUS.get(row.recording_status)
    if row.recording_status == RecordingStatus.COMPLETED:
        row.state, row.failure, row.finished_at = RecordingState.QUEUED, None, None
        row.queued_at = row.available_at = func.now()
    elif failure is not None:
        row.state, row.failure, row.finished_at = RecordingState.DEAD, failure, func.now()
