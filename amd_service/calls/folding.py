"""Folds stored callbacks: updates the rows of their calls and recordings.

A row depends on the set of all stored callbacks of its call. So folding a callback twice changes nothing, and the order
of arrival does not matter.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from amd_service.calls import facts
from amd_service.calls.analysis import refresh_locked
from amd_service.calls.array_parameters import any_of
from amd_service.calls.call_tagging import ROUTES, apply_tagging, tagging_from_json
from amd_service.calls.conclusion import WITHOUT_AUDIO
from amd_service.calls.tables import Callback, CallLog, Recording, RecordingState
from amd_service.domain import REST_ROUTE, AnalysisState, Failure, RecordingStatus
from amd_service.telemetry import get_logger

T = TypeVar("T")

log = get_logger(__name__)

# Routes that report a call's status: Twilio's status callback, and responses of Twilio's API.
_STATUS_ROUTES = ("status", REST_ROUTE)
_AMD_ROUTE = "amd"

_FAILURE_OF_STATUS: dict[str | None, Failure] = {
    RecordingStatus.ABSENT: Failure.NO_RECORDING,
    RecordingStatus.FAILED: Failure.RECORDING_FAILED,
}

# Sorted, because two transactions that insert several rows in different orders can deadlock. Returns only new rows.
_INSERT_CALLS = text("""
    insert into call_log (call_sid, account_sid, analysis_state, created_at)
    select * from unnest(cast(:sids as text[]), cast(:accounts as text[]), cast(:states as text[]),
                         cast(:times as timestamptz[])) order by 1
    on conflict do nothing
    returning *
""")
# A recording gets no row if its call belongs to another account: a callback that is signed with one account's token
# must not change the data of another account.
_INSERT_RECORDINGS = text("""
    insert into recording (recording_sid, call_sid, account_sid, state)
    select distinct on (named.recording_sid) named.recording_sid, call_sid, account_sid, cast(:state as text)
      from unnest(cast(:sids as text[]), cast(:calls as text[]), cast(:accounts as text[]))
           with ordinality as named (recording_sid, call_sid, account_sid, position)
      join call_log using (call_sid, account_sid)
     order by named.recording_sid, position
    on conflict do nothing
""")


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A stored callback whose values may be missing in the rows of its call and recording.

    `attempts`, `error`: the number of earlier attempts to fold it, which failed, and the error of the last one.
    """

    callback_id: int
    call_sid: str
    account_sid: str
    recording_sid: str | None
    traceparent: str | None
    received_at: datetime
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Folded:
    """Result of folding. A callback that is in neither collection met a lock.

    `unreadable`: the callbacks that this version cannot read, with the reason. The rows do not contain their values.
    """

    done: frozenset[int]
    unreadable: dict[int, str]


@dataclass(slots=True)
class _Stored:
    """The readable callbacks of one call that its own account has signed."""

    statuses: list[Any] = field(default_factory=list)
    detections: list[Any] = field(default_factory=list)
    recordings: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    taggings: dict[int, tuple[str, Any]] = field(default_factory=dict)

    def add(self, callback_id: int, route: str, recording_sid: str | None, values: dict[str, Any]) -> None:
        """Add a callback. Raises ValueError if its values or its route are unknown to this version."""
        if route not in ROUTES:
            raise ValueError(f"unknown route {route!r}")
        if recording_sid is not None:
            self.recordings[recording_sid] += facts.recordings_from_json([values])
        elif route in _STATUS_ROUTES:
            self.statuses += facts.statuses_from_json([values])
        elif route == _AMD_ROUTE:
            self.detections += facts.amd_results_from_json([values])
        tagging = tagging_from_json(values)
        if not tagging.is_empty:
            self.taggings[callback_id] = route, tagging


async def fold(session: AsyncSession, unfolded: Sequence[Unfolded], *, skip_locked: bool = False) -> Folded:
    """Update the rows of the calls and recordings of stored callbacks. Inserts missing rows.

    Recording callbacks can arrive before status callbacks, so each of them can be the first of its call. `skip_locked`:
    leave out the rows that another transaction has locked, instead of waiting.
    """
    # Recordings are locked before calls, like in every other transaction, so two of them never deadlock.
    recordings = await _lock_recordings(session, unfolded, skip_locked=skip_locked)
    calls = await _lock_calls(session, unfolded, skip_locked=skip_locked)
    reachable = [one for one in unfolded if not _is_locked(one, calls, recordings)]
    by_call: defaultdict[str, list[Unfolded]] = defaultdict(list)
    for one in reachable:
        if _is_accepted(one, calls, recordings):
            by_call[one.call_sid].append(one)
    stored, unreadable, recorded = await _read_callbacks(session, calls)
    for call_sid, news in by_call.items():
        _update_call(calls[call_sid], stored[call_sid], news)
        for one in news:
            if one.recording_sid is not None:
                _update_recording(recordings[one.recording_sid], stored[call_sid], one)
    await refresh_locked(session, [calls[call_sid] for call_sid in sorted(by_call)], recorded)
    ids = frozenset(one.callback_id for one in reachable)
    return Folded(ids - unreadable.keys(), {key: reason for key, reason in unreadable.items() if key in ids})


async def _lock_calls(session: AsyncSession, unfolded: Sequence[Unfolded], *, skip_locked: bool) -> dict[str, CallLog]:
    """Lock the rows of calls, by CallSid. Inserts the missing rows."""
    sids = {one.call_sid for one in unfolded}
    calls = await _lock(session, CallLog, CallLog.call_sid, sids, skip_locked=skip_locked)
    if missing := [one for one in unfolded if one.call_sid not in calls]:
        calls |= {call.call_sid: call for call in await _insert_calls(session, missing)}
    # Another transaction has inserted these rows in the meantime.
    if (late := sids - calls.keys()) and not skip_locked:
        calls |= await _lock(session, CallLog, CallLog.call_sid, late, skip_locked=False)
    return calls


async def _insert_calls(session: AsyncSession, unfolded: Sequence[Unfolded]) -> Sequence[CallLog]:
    """Insert the missing rows of calls, and return them. A row belongs to the account of the first callback."""
    first = {one.call_sid: one for one in reversed(unfolded)}.values()
    values = {
        "sids": [one.call_sid for one in first],
        "accounts": [one.account_sid for one in first],
        "states": [AnalysisState.WAITING.value for _ in first],
        "times": [one.received_at for one in first],
    }
    inserted = select(CallLog).from_statement(_INSERT_CALLS)
    return (await session.scalars(inserted, values, execution_options={"populate_existing": True})).all()


async def _lock_recordings(
    session: AsyncSession, unfolded: Sequence[Unfolded], *, skip_locked: bool
) -> dict[str, Recording]:
    """Lock the rows of recordings, by RecordingSid. Inserts the missing rows."""
    named = [one for one in unfolded if one.recording_sid is not None]
    if not named:
        return {}
    await _insert_calls(session, unfolded)
    values = {
        "sids": [one.recording_sid for one in named],
        "calls": [one.call_sid for one in named],
        "accounts": [one.account_sid for one in named],
        "state": RecordingState.NOTED.value,
    }
    await session.execute(_INSERT_RECORDINGS, values)
    sids = {one.recording_sid for one in named if one.recording_sid is not None}
    return await _lock(session, Recording, Recording.recording_sid, sids, skip_locked=skip_locked)


async def _lock(
    session: AsyncSession, table: type[T], key: InstrumentedAttribute[str], sids: Iterable[str], *, skip_locked: bool
) -> dict[str, T]:
    """Lock rows in the order of their keys, and return them by key."""
    statement = (
        select(table)
        .where(key == any_of(sids))
        .order_by(key)
        .with_for_update(key_share=True, skip_locked=skip_locked)
        .execution_options(populate_existing=True)
    )
    return {getattr(row, key.key): row for row in await session.scalars(statement)}


def _is_locked(one: Unfolded, calls: dict[str, CallLog], recordings: dict[str, Recording]) -> bool:
    """Whether another transaction has locked the call or the recording. Only a call's own account locks a recording."""
    call = calls.get(one.call_sid)
    if call is None:
        return True
    is_own = call.account_sid == one.account_sid
    return is_own and one.recording_sid is not None and one.recording_sid not in recordings


def _is_accepted(one: Unfolded, calls: dict[str, CallLog], recordings: dict[str, Recording]) -> bool:
    """Whether the callback may change its call, and its recording if it names one."""
    if calls[one.call_sid].account_sid != one.account_sid:
        log.warning("call of another account, ignored", call_sid=one.call_sid, account_sid=one.account_sid)
        return False
    row = None if one.recording_sid is None else recordings[one.recording_sid]
    if row is not None and (row.account_sid, row.call_sid) != (one.account_sid, one.call_sid):
        log.warning("recording of another account or call, ignored", recording_sid=one.recording_sid)
        return False
    return True


async def _read_callbacks(
    session: AsyncSession, calls: dict[str, CallLog]
) -> tuple[defaultdict[str, _Stored], dict[int, str], set[str]]:
    """Read every callback of locked calls, by CallSid.

    Also returns the reason for each callback that cannot be read, and the calls that have recordings. The locks ensure
    that the last of several concurrent transactions reads every committed callback.
    """
    recorded_calls = select(Recording.call_sid).where(Recording.call_sid == any_of(calls))
    columns = (Callback.call_sid, Callback.account_sid, Callback.id, Callback.route, Callback.recording_sid)
    array = func.array(recorded_calls.scalar_subquery())
    statement = select(array, *columns, Callback.facts).where(Callback.call_sid == any_of(calls))
    stored: defaultdict[str, _Stored] = defaultdict(_Stored)
    unreadable = {}
    recorded: set[str] = set()
    for sids, call_sid, account_sid, *callback in await session.execute(statement):
        recorded.update(sids)
        if account_sid != calls[call_sid].account_sid:
            continue
        try:
            stored[call_sid].add(*callback)
        except ValueError as error:
            unreadable[callback[0]] = str(error)
    return stored, unreadable, recorded


def _update_call(call: CallLog, stored: _Stored, news: Sequence[Unfolded]) -> None:
    merged = facts.merge_call(stored.statuses, stored.detections)
    _update_columns(call, merged)
    if merged.twilio_answered_by is not None:
        # `_update_columns` skips None. Without this line the duration of an earlier result would stay beside the new
        # result.
        call.twilio_amd_ms = merged.twilio_amd_ms
    received = [stored.taggings[one.callback_id][1] for one in news if one.callback_id in stored.taggings]
    if received:
        apply_tagging(call, stored.taggings.values(), received)


def _update_recording(row: Recording, stored: _Stored, news: Unfolded) -> None:
    _update_columns(row, facts.merge_recording(stored.recordings[row.recording_sid]))
    _update_state(row)
    if row.attempts == 0:
        row.traceparent = news.traceparent or row.traceparent


def _update_columns(row: CallLog | Recording, merged: facts.CallFacts | facts.RecordingFacts) -> None:
    """Write the facts onto the row.

    None means that Twilio did not report the value, so None never overwrites a value from an earlier callback.
    """
    for column in merged.__slots__:
        if (value := getattr(merged, column)) is not None:
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
