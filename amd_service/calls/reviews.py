"""Reads and writes the answers of people who listened to a call."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.review_sample import SamplingPlan, is_audible, is_drawn
from amd_service.calls.strata import stratum_of
from amd_service.calls.tables import CallLog, Recheck, Recording, Review, VerdictRow
from amd_service.domain import CallSid, ReviewAnswer, Stratum


@dataclass(frozen=True, slots=True)
class Draw:
    """The group from which a call was drawn, and the probability with which a call of the group is drawn."""

    stratum: Stratum
    probability: float

    @classmethod
    def of(cls, review: Review) -> Self | None:
        """Return how the call of a review was drawn. None if the person chose the call."""
        if review.stratum is None or review.probability is None:
            return None
        return cls(Stratum(review.stratum), review.probability)


@dataclass(frozen=True, slots=True)
class NewReview:
    """A row to add. `draw`: None if the person chose the call. `idempotency_key`: of the request, if it had one."""

    call_sid: str
    reviewer: str
    answer: ReviewAnswer
    note: str | None
    draw: Draw | None
    idempotency_key: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, review: Review) -> Self:
        """Return the content of a stored review."""
        return cls(review.call_sid, review.reviewer, ReviewAnswer(review.answer), review.note, Draw.of(review))


async def lock_answers(session: AsyncSession, call_sid: CallSid, reviewer: str) -> None:
    """Serialise the answers of one person about one call until the transaction ends: of a double click, or two tabs."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"review {call_sid} {reviewer}", 0))))


async def answers_about(session: AsyncSession, call_sid: CallSid) -> Sequence[Review]:
    """Return the answers of all people about a call, oldest first."""
    return (await session.scalars(select(Review).where(Review.call_sid == call_sid).order_by(Review.id))).all()


async def answers_of(session: AsyncSession, call_sid: CallSid, reviewer: str) -> Sequence[Review]:
    """Return the answers of a person about a call, latest first."""
    statement = select(Review).where(Review.call_sid == call_sid, Review.reviewer == reviewer)
    return (await session.scalars(statement.order_by(Review.id.desc()))).all()


async def find_by_key(session: AsyncSession, reviewer: str, key: str) -> Review | None:
    """Return the review that the reviewer's request with this Idempotency-Key added, or None.

    Until the transaction ends, another request of the reviewer with this key waits here.
    """
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"review key {reviewer} {key}", 0))))
    statement = select(Review).where(Review.reviewer == reviewer, Review.idempotency_key == key)
    return (await session.scalars(statement)).first()


async def find_draw(session: AsyncSession, call_sid: CallSid, plan: SamplingPlan) -> Draw | None:
    """Return how the call was drawn, or None if it is not in the sample.

    A second opinion has the draw of the first one. The call can meanwhile be outside the sample, for example after a
    change of the settings.
    """
    drawn = select(Review).where(Review.call_sid == call_sid, Review.probability.is_not(None)).order_by(Review.id)
    first = (await session.scalars(drawn.limit(1))).first()
    if first is not None:
        return Draw.of(first)
    statement = select(stratum_of(plan.low)).where(CallLog.call_sid == call_sid, CallLog.label.is_not(None))
    value = await session.scalar(statement)
    if value is None:
        return None
    draw = Draw(Stratum(value), plan.probability(Stratum(value)))
    is_in_sample = select(CallLog.call_sid).where(CallLog.call_sid == call_sid, is_drawn(draw.probability))
    return None if await session.scalar(is_in_sample) is None else draw


async def add_reviews(session: AsyncSession, reviews: Sequence[NewReview]) -> None:
    """Insert rows in this order."""
    rows = [
        {
            "call_sid": each.call_sid,
            "reviewer": each.reviewer,
            "answer": each.answer,
            "note": each.note,
            "idempotency_key": each.idempotency_key,
        }
        | (asdict(each.draw) if each.draw else {"stratum": None, "probability": None})
        for each in reviews
    ]
    await session.execute(insert(Review), rows)


async def add_rechecks(session: AsyncSession, call_sids: Sequence[CallSid]) -> int:
    """Ask for another opinion about calls. Returns the number of calls that are known and were not asked before."""
    known = select(CallLog.call_sid).where(CallLog.call_sid.in_(call_sids))
    statement = postgresql.insert(Recheck).from_select(["call_sid"], known).on_conflict_do_nothing()
    return len((await session.scalars(statement.returning(Recheck.call_sid))).all())


async def find_recording_to_hear(session: AsyncSession, call_sid: CallSid) -> Recording | None:
    """Return the recording that gave the verdict, or the first other one that can be heard; None if there is none."""
    statement = (
        select(Recording)
        .join(CallLog, CallLog.call_sid == Recording.call_sid)
        .where(Recording.call_sid == call_sid, is_audible())
        .order_by(
            (Recording.recording_sid == CallLog.recording_sid).desc().nulls_last(),
            Recording.started_at.nulls_last(),
            Recording.recording_sid,
        )
        .limit(1)
    )
    return (await session.scalars(statement)).first()


async def find_judged_channel(session: AsyncSession, recording_sid: str) -> int | None:
    """Return the channel of the called party, from 1. None if both parties are on one channel, or if not known."""
    statement = (
        select(VerdictRow.channel)
        .where(VerdictRow.recording_sid == recording_sid, VerdictRow.decided)
        .order_by(VerdictRow.id.desc())
        .limit(1)
    )
    channel: int | None = await session.scalar(statement)
    return channel
