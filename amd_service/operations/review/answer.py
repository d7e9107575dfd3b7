"""Record what a person heard in a call. A verdict is never changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from amd_service.calls import annotations, reviews
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.reviews import Draw, NewReview
from amd_service.calls.storable import storable
from amd_service.calls.tables import CallLog, Review
from amd_service.database.pool import Database
from amd_service.domain import CallSid, ReviewAnswer
from amd_service.errors import IdempotencyKeyReused
from amd_service.telemetry import get_logger

log = get_logger(__name__)

MAX_NOTE_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer of a person, or of a program.

    `seen`: id of the person's latest answer about this call when the form was made, 0 if there was none; None for an
    answer without a form, which follows every earlier answer. `from_queue`: the person got the call from a queue and
    did not see the verdict. `idempotency_key`: repeated requests of the reviewer with one key add one row.
    """

    call_sid: CallSid
    reviewer: str
    answer: ReviewAnswer
    note: str
    seen: int | None
    from_queue: bool
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """The answer of the person that counts, and the call.

    `is_new`: False if the answer was sent twice or is outdated.
    """

    review: Review
    call: CallLog
    is_new: bool


async def read_reviews(database: Database, call_sid: CallSid) -> Sequence[Review] | None:
    """Return all answers about a call, oldest first. None for an unknown call. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        if await session.get(CallLog, call_sid) is None:
            return None
        return await reviews.answers_about(session, call_sid)


async def record_answer(
    database: Database, plan: SamplingPlan, given: GivenAnswer, *, annotates: bool = False
) -> RecordedAnswer | None:
    """Add a row for the answer, unless this form, a later one or a request with the same key was recorded already.

    `annotates`: also queue the answer for Twilio as a Call Annotation. A correction is a new row with the group and the
    probability of the first one. Returns None if the call is unknown or not judged. Raises DatabaseUnavailable, and
    IdempotencyKeyReused for another answer with the same key.
    """
    note, key = storable(given.note.strip())[:MAX_NOTE_LENGTH] or None, given.idempotency_key
    async with database.transaction() as session:
        stored = None if key is None else await reviews.find_by_key(session, given.reviewer, key)
        await reviews.lock_answers(session, given.call_sid, given.reviewer)
        call = await session.get(CallLog, given.call_sid)
        if call is None or call.label is None:
            return None
        if stored is not None:
            if (stored.call_sid, stored.answer, stored.note) != (given.call_sid, given.answer, note):
                raise IdempotencyKeyReused(
                    f"this idempotency key has added the review {stored.id} of call {stored.call_sid}, and now the "
                    "request is different: use a new key for a new review"
                )
            return RecordedAnswer(stored, call, is_new=False)
        earlier = await reviews.answers_of(session, given.call_sid, given.reviewer)
        draw = next((Draw.of(row) for row in reversed(earlier) if row.probability is not None), None)
        if draw is None and given.from_queue:
            draw = await reviews.find_draw(session, given.call_sid, plan)
        new = NewReview(given.call_sid, given.reviewer, given.answer, note, draw, key)
        is_outdated = bool(earlier) and given.seen not in (None, earlier[0].id)
        if is_outdated or (earlier and key is None and NewReview.of(earlier[0]) == new):
            return RecordedAnswer(earlier[0], call, is_new=False)
        await reviews.add_reviews(session, [new])
        if annotates:
            await annotations.request(session, given.call_sid, given.answer)
        latest = (await reviews.answers_of(session, given.call_sid, given.reviewer))[0]
    log.info("call reviewed", call_sid=given.call_sid, reviewer=given.reviewer, answer=given.answer)
    return RecordedAnswer(latest, call, is_new=True)
