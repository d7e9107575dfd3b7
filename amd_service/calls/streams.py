"""A live stream's verdict → rows: a recording that was never fetched, done from the beginning."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import actions
from amd_service.calls.analysis import ensure_call, lock_call, refresh_call
from amd_service.calls.tables import BROKEN_OFF, MEDIA_STREAM, Recording, RecordingState, VerdictRow
from amd_service.calls.verdict_rows import verdict_rows
from amd_service.domain import AccountSid, Action, CallSid, Label, RecordingStatus, Source, StreamSid, Verdict


@dataclass(frozen=True, slots=True)
class Stream:
    """A live stream. `lasted_s`: how long ago it began, by the clock of whoever listened.

    `whole`: it was heard until its verdict stood, or to its end; False where the connection broke off before.
    """

    account_sid: AccountSid
    call_sid: CallSid
    stream_sid: StreamSid
    lasted_s: float
    whole: bool


async def settle_stream(
    session: AsyncSession, stream: Stream, verdict: Verdict, wanted: Mapping[Label, Action]
) -> bool:
    """Write a stream's verdict and order what is `wanted` after it, as one fact.

    A call nobody has told us about yet gets its row here: a stream may overtake the status callbacks. False, and
    nothing is written: the stream has a verdict already, or the call is another account's.
    """
    if not await ensure_call(session, stream.call_sid, stream.account_sid):
        return False
    if not await _add_recording(session, stream):
        return False
    rows = verdict_rows(stream.stream_sid, verdict, source=Source.STREAM, attempt=1)
    await session.execute(plain_insert(VerdictRow), rows)
    call = await lock_call(session, stream.call_sid)
    await refresh_call(session, call)
    # Nothing is done after half a greeting, nor by a stream that another one has overruled.
    if stream.whole and call.label == verdict.label:
        await actions.order(session, call, wanted)
    return True


async def _add_recording(session: AsyncSession, stream: Stream) -> bool:
    """Whether the stream is new."""
    # Reckoned back on the database's clock, as every other time of a row is.
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
