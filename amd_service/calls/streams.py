"""Stores a live stream's verdict. The stream is stored as a recording in the state DONE, so no worker fetches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import actions, intake
from amd_service.calls.analysis import Settled, ensure_call, lock_call, refresh_call
from amd_service.calls.tables import BROKEN_OFF, MEDIA_STREAM, Recording, RecordingState, VerdictRow
from amd_service.calls.verdict_rows import verdict_rows
from amd_service.domain import (
    UNTAGGED,
    AccountSid,
    Action,
    CallSid,
    Label,
    RecordingStatus,
    Source,
    StreamSid,
    Tagging,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Stream:
    """A live stream. `lasted_s`: seconds since the stream began, by the clock of the process that received the stream.

    `whole`: the stream was received until its verdict or until its end. False if the connection broke off earlier.
    `tagging`: campaign and tags in the stream's parameters.
    """

    account_sid: AccountSid
    call_sid: CallSid
    stream_sid: StreamSid
    lasted_s: float
    whole: bool
    tagging: Tagging = UNTAGGED


async def settle_stream(
    session: AsyncSession, stream: Stream, verdict: Verdict, wanted: Mapping[Label, Action]
) -> Settled | None:
    """Write a stream's verdict, and schedule the action that `wanted` contains for the verdict, in one transaction.

    Inserts the row of the call if it is missing, because a stream can begin before the first status callback arrives.
    Returns None and writes nothing if the stream already has a verdict, or if the call belongs to another account.
    """
    if not await ensure_call(session, stream.call_sid, stream.account_sid):
        return None
    if not await _insert_recording(session, stream):
        return None
    rows = verdict_rows(stream.stream_sid, verdict, source=Source.STREAM, attempt=1)
    await session.execute(plain_insert(VerdictRow), rows)
    call = await lock_call(session, stream.call_sid)
    await intake.store_stream_tagging(session, stream.call_sid, stream.account_sid, stream.stream_sid, stream.tagging)
    await refresh_call(session, call)
    # If the stream broke off, no action is scheduled, because the stream may hold only half of the greeting. If another
    # verdict of the call takes precedence, no action is scheduled either.
    if stream.whole and call.label == verdict.label:
        await actions.schedule(session, call, wanted)
    return Settled.of(call, stream.stream_sid)


async def _insert_recording(session: AsyncSession, stream: Stream) -> bool:
    """Insert the stream as a recording, and return True if the stream is new."""
    # All times of a row come from the database's clock, so the start is now() minus the duration.
    began = func.now() - timedelta(seconds=stream.lasted_s)
    statement = insert(Recording).values(
        recording_sid=stream.stream_sid,
        call_sid=stream.call_sid,
        account_sid=stream.account_sid,
        source=MEDIA_STREAM,
        recording_status=RecordingStatus.COMPLETED if stream.whole else BROKEN_OFF,
        track="inbound",
        channels=1,
        state=RecordingState.DONE,
        attempts=1,
        started_at=began,
        queued_at=began,
        finished_at=func.now(),
    )
    return await session.scalar(statement.on_conflict_do_nothing().returning(Recording.recording_sid)) is not None
