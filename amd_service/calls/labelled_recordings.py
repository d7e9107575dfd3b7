"""Reads the answers of reviewers, and the recordings to which labels belong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.review_sample import is_audible
from amd_service.calls.tables import CallLog, Recording, Review
from amd_service.domain import AccountSid, CallSid, RecordingSid, ReviewAnswer


@dataclass(frozen=True, slots=True)
class LatestAnswer:
    """The latest answer of one reviewer about a call. `probability`: with which the call was drawn, None if chosen."""

    call_sid: CallSid
    answer: ReviewAnswer
    stratum: str | None
    probability: float | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call and the recording to listen to. `number`: the called number as stored, or None.

    `is_audible`: whether Twilio still stored the recording when this service last heard of it.
    """

    call_sid: CallSid
    account_sid: AccountSid
    recording_sid: RecordingSid
    source: str | None
    track: str | None
    duration_s: int | None
    number: str | None
    answered_at: datetime
    is_audible: bool


async def latest_answers(session: AsyncSession, *, after: str, limit: int) -> Sequence[LatestAnswer]:
    """Return the latest answer of every reviewer about the next `limit` reviewed calls after the CallSid `after`."""
    calls = select(Review.call_sid).where(Review.call_sid > after).group_by(Review.call_sid)
    statement = (
        select(Review.call_sid, Review.answer, Review.stratum, Review.probability, Review.created_at)
        .where(Review.call_sid.in_(calls.order_by(Review.call_sid).limit(limit)))
        .ext(distinct_on(Review.call_sid, Review.reviewer))
        .order_by(Review.call_sid, Review.reviewer, Review.id.desc())
    )
    rows = await session.execute(statement)
    return [LatestAnswer(CallSid(row[0]), ReviewAnswer(row[1]), *row[2:]) for row in rows]


async def find_recorded_calls(session: AsyncSession, call_sids: Sequence[str]) -> Sequence[RecordedCall]:
    """Return the calls that have a recording: the one that gave the verdict, or else the first one.

    A recording that Twilio no longer stores is returned only if the call has no other. Unknown calls are left out.
    """
    statement = (
        select(Recording, CallLog.to_number, func.coalesce(CallLog.answered_at, CallLog.created_at), is_audible())
        .join(CallLog, CallLog.call_sid == Recording.call_sid)
        .where(Recording.call_sid.in_(call_sids))
        .ext(distinct_on(Recording.call_sid))
        .order_by(
            Recording.call_sid,
            is_audible().desc(),
            (Recording.recording_sid == CallLog.recording_sid).desc().nulls_last(),
            Recording.started_at.nulls_last(),
            Recording.recording_sid,
        )
    )
    return [
        RecordedCall(
            CallSid(recording.call_sid),
            AccountSid(recording.account_sid),
            RecordingSid(recording.recording_sid),
            recording.source,
            recording.track,
            recording.duration_s,
            number,
            answered_at,
            audible,
        )
        for recording, number, answered_at, audible in await session.execute(statement)
    ]
