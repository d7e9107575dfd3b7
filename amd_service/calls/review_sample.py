"""Which calls are drawn for review: a share of each group, in an order that is random but fixed for each call.

No table stores the draws. The hash of its SID gives each call a permanent random number. A call is drawn if its number
is below the share of its group, and each queue serves its calls in the order of this number. So at any time the
reviewed calls of a group are those with the lowest numbers: a random sample of the group, wherever people stop, and
also if several queues contain the same call. See docs/decisions/0025-sampling-for-reviews.md.
"""

from dataclasses import dataclass
from typing import Self

from sqlalchemy import BigInteger, Boolean, ColumnElement, Select, and_, false, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.strata import LowConfidence, is_in
from amd_service.calls.tables import MEDIA_STREAM, CallLog, Recheck, Recording, Review
from amd_service.calls.tables.call_log import JUDGED
from amd_service.domain import ReviewQueue, Stratum
from amd_service.settings import Settings

# The permanent random number of a call, from -2**63 to 2**63 - 1. An index contains this expression.
ORDER: ColumnElement[int] = literal_column("hashtextextended(call_log.call_sid, 0)", BigInteger)
# Another random number of a call, which is independent of the first number.
SECOND_ORDER: ColumnElement[int] = literal_column("hashtextextended(call_log.call_sid, 1)", BigInteger)

# A count of waiting calls stops here, so that it stays fast.
MAX_COUNTED = 1000

STRATUM_OF_QUEUE = {
    ReviewQueue.DISAGREEMENT: Stratum.DISAGREEMENT,
    ReviewQueue.UNDECIDED: Stratum.UNDECIDED,
    ReviewQueue.LOW_CONFIDENCE: Stratum.LOW_CONFIDENCE,
}


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """Shares of the calls that are drawn, from 0 to 1.

    `sample`: of all calls. `difficult`: of each group except `rest`. `second`: of the reviewed calls, for a second
    opinion.
    """

    sample: float
    difficult: float
    second: float
    low: LowConfidence

    @classmethod
    def from_settings(cls, settings: Settings, low: LowConfidence) -> Self:
        return cls(
            settings.review_sample,
            max(settings.review_sample, settings.review_difficult),
            settings.review_second_share,
            low,
        )

    def probability(self, stratum: Stratum) -> float:
        """Return the probability with which a call of a group is drawn, by any queue."""
        return self.sample if stratum is Stratum.REST else self.difficult


def is_drawn(share: float, order: ColumnElement[int] = ORDER) -> ColumnElement[bool]:
    """Return the condition of the calls whose random number is within a share of all numbers."""
    if share <= 0:
        return false()
    return order <= min(2**63 - 1, int(share * 2**64) - 2**63)


def is_in_queue(queue: ReviewQueue, plan: SamplingPlan) -> ColumnElement[bool]:
    """Return the condition of the calls that a queue asks for first opinions about, reviewed or not."""
    judged = literal_column(f"call_log.{JUDGED}", Boolean)
    if queue is ReviewQueue.RANDOM:
        return and_(judged, is_drawn(plan.sample))
    stratum = STRATUM_OF_QUEUE[queue]
    return and_(judged, is_in(stratum, plan.low), is_drawn(plan.probability(stratum)))


def waiting_calls(queue: ReviewQueue, plan: SamplingPlan, reviewer: str) -> Select[str]:
    """Return the query for the calls of a queue that wait for an answer of `reviewer`, in the order of the queue.

    Only calls with a recording that can still be heard are in a queue.
    """
    if queue is ReviewQueue.SECOND:
        return _waiting_for_a_second_opinion(plan, reviewer)
    if queue is ReviewQueue.RECHECK:
        return _waiting_for_a_recheck(reviewer)
    # The answer of a person who chose the call does not count, so it does not remove the call from the sample.
    answered = select(Review.id).where(Review.call_sid == CallLog.call_sid, Review.probability.is_not(None))
    return (
        select(CallLog.call_sid)
        .where(is_in_queue(queue, plan), ~answered.correlate(CallLog).exists(), _can_be_heard())
        .order_by(ORDER)
    )


def _waiting_for_a_second_opinion(plan: SamplingPlan, reviewer: str) -> Select[str]:
    answered_once = (
        select(Review.call_sid)
        .where(Review.probability.is_not(None))
        .group_by(Review.call_sid)
        .having(func.min(Review.reviewer) == func.max(Review.reviewer), func.min(Review.reviewer) != reviewer)
    )
    return (
        select(CallLog.call_sid)
        .where(CallLog.call_sid.in_(answered_once), is_drawn(plan.second, SECOND_ORDER), _can_be_heard())
        .order_by(SECOND_ORDER)
    )


def _waiting_for_a_recheck(reviewer: str) -> Select[str]:
    """Return the query for suspicious calls that nobody has answered since, and that `reviewer` never answered.

    A person who hears a call again knows that the earlier answer is in doubt. The model has chosen these calls, so such
    corrections would favour the model in the error rates.
    """
    answers = select(Review.id).where(Review.call_sid == CallLog.call_sid).correlate(CallLog, Recheck)
    answered = answers.where((Review.created_at > Recheck.created_at) | (Review.reviewer == reviewer))
    return (
        select(CallLog.call_sid)
        .join(Recheck, Recheck.call_sid == CallLog.call_sid)
        .where(literal_column(f"call_log.{JUDGED}", Boolean), ~answered.exists(), _can_be_heard())
        .order_by(ORDER)
    )


def _can_be_heard() -> ColumnElement[bool]:
    heard = (
        select(Recording.recording_sid)
        .where(Recording.call_sid == CallLog.call_sid, is_audible())
        .correlate(CallLog)
    )  # fmt: skip
    return heard.exists()


def is_audible() -> ColumnElement[bool]:
    """Return the condition of a recording that Twilio still stores. Twilio stores no copy of a live stream."""
    return and_(
        Recording.recording_status == "completed",
        Recording.source.is_distinct_from(MEDIA_STREAM),
        Recording.erased_at.is_(None),
    )


async def count_waiting(session: AsyncSession, queue: ReviewQueue, plan: SamplingPlan, reviewer: str) -> int:
    """Count the calls that wait for an answer of `reviewer`, at most MAX_COUNTED."""
    waiting = waiting_calls(queue, plan, reviewer).order_by(None).limit(MAX_COUNTED).subquery()
    return await session.scalar(select(func.count()).select_from(waiting)) or 0


async def count_reviewed(session: AsyncSession, queue: ReviewQueue, plan: SamplingPlan) -> int:
    """Count the calls of a queue of first opinions that have an answer."""
    statement = (
        select(func.count(Review.call_sid.distinct()))
        .join(CallLog, CallLog.call_sid == Review.call_sid)
        .where(Review.probability.is_not(None), is_in_queue(queue, plan))
    )
    return await session.scalar(statement) or 0
