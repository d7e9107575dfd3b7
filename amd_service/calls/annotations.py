"""The queue of Call Annotations, stored in the table `annotation`: request, claim, settle, retry, give up."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.deliveries import RETRY_S
from amd_service.calls.leases import RUNNING, Leases, from_now, new_token
from amd_service.calls.storable import storable
from amd_service.calls.tables import Annotation, CallLog
from amd_service.calls.tables.delivery import UNFINISHED
from amd_service.domain import (
    ANSWERED_BY,
    AccountSid,
    AnnotationJob,
    AnsweredBy,
    CallSid,
    DeliveryState,
    ReviewAnswer,
)

_LEASES = Leases(Annotation, Annotation.call_sid)

# A changed annotation starts with all its attempts.
_AGAIN = {"state": DeliveryState.QUEUED, "attempts": 0, "retry_until": None, "last_error": None, "finished_at": None}


async def request(session: AsyncSession, call_sid: CallSid, answer: ReviewAnswer) -> None:
    """Make the annotation of a call due, unless Twilio has it already. Call this in the transaction of the review.

    An answer without a value at Twilio withdraws an earlier annotation of the call, and does nothing without one. A
    running request is not interrupted: its worker queues the changed annotation when it ends, so that the requests for
    a call follow each other.
    """
    wanted = ANSWERED_BY.get(answer, AnsweredBy.UNKNOWN)
    if wanted != AnsweredBy.UNKNOWN:
        new = insert(Annotation).values(call_sid=call_sid, answered_by=wanted).on_conflict_do_nothing()
        await session.execute(new)
    stored = select(Annotation.answered_by, Annotation.state).where(Annotation.call_sid == call_sid).with_for_update()
    row = (await session.execute(stored)).first()
    if row is None or (row.answered_by == wanted and row.state != DeliveryState.DEAD):
        return
    values = {} if row.state == RUNNING else _AGAIN | {"available_at": func.now()}
    changed = update(Annotation).where(Annotation.call_sid == call_sid).execution_options(synchronize_session=False)
    await session.execute(changed.values(answered_by=wanted, version=Annotation.version + 1, **values))


async def claim(session: AsyncSession, *, worker: str, limit: int, lease_s: float) -> list[AnnotationJob]:
    """Claim up to `limit` due annotations for `lease_s` seconds."""
    due = select(Annotation.call_sid).where(text(UNFINISHED), Annotation.available_at <= func.now())
    # SKIP LOCKED: two workers claim different rows.
    locked = due.order_by(Annotation.available_at).limit(limit).with_for_update(skip_locked=True)
    sids = (await session.scalars(locked)).all()
    account = select(CallLog.account_sid).where(CallLog.call_sid == Annotation.call_sid).scalar_subquery()
    statement = (
        update(Annotation)
        .where(Annotation.call_sid.in_(sids))
        .values(
            state=RUNNING,
            attempts=Annotation.attempts + 1,
            locked_by=new_token(worker),
            available_at=from_now(lease_s),
            retry_until=func.coalesce(Annotation.retry_until, from_now(RETRY_S)),
        )
        .returning(Annotation, func.extract("epoch", Annotation.retry_until - func.now()), account)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    claimed = (await session.execute(statement)).all() if sids else []
    return [
        AnnotationJob(
            call_sid=CallSid(row.call_sid),
            account_sid=AccountSid(account_sid),
            answered_by=AnsweredBy(row.answered_by),
            version=row.version,
            attempts=row.attempts,
            left_s=float(left_s),
            locked_by=row.locked_by or "",
        )
        for row, left_s, account_sid in claimed
    ]


async def seconds_until_due(session: AsyncSession) -> float | None:
    """Return the seconds until the next annotation is due, 0 if one is due now, None if the queue is empty."""
    seconds = select(func.extract("epoch", Annotation.available_at - func.now())).where(text(UNFINISHED))
    earliest = await session.scalar(seconds.order_by(Annotation.available_at).limit(1))
    return None if earliest is None else max(0.0, float(earliest))


async def heartbeat(
    session: AsyncSession, *, jobs: Sequence[AnnotationJob], lease_s: float
) -> frozenset[AnnotationJob]:
    """Extend the lease of every job to `lease_s` seconds from now. Returns the jobs whose lease is not lost."""
    return await _LEASES.heartbeat(session, {(job.call_sid, job.locked_by): job for job in jobs}, lease_s=lease_s)


async def settle(session: AsyncSession, job: AnnotationJob) -> bool:
    """Finish an annotation that Twilio has stored. Returns False if the lease was lost."""
    return await _end_attempt(session, job, state=DeliveryState.DONE, finished_at=func.now(), last_error=None)


async def retry_later(session: AsyncSession, job: AnnotationJob, *, delay_s: float, error: str) -> bool:
    """Send the annotation again in `delay_s` seconds. Returns False if the lease was lost."""
    values = {"state": DeliveryState.QUEUED, "last_error": storable(error)}
    return await _end_attempt(session, job, available_at=from_now(delay_s), **values)


async def release(session: AsyncSession, job: AnnotationJob) -> bool:
    """End an interrupted attempt without counting it. Returns False if the lease was lost."""
    attempts = Annotation.attempts - 1
    return await _end_attempt(session, job, state=DeliveryState.QUEUED, available_at=func.now(), attempts=attempts)


async def give_up(session: AsyncSession, job: AnnotationJob, *, error: str) -> bool:
    """End an annotation without success. Returns False if the lease was lost."""
    values = {"state": DeliveryState.DEAD, "last_error": storable(error)}
    return await _end_attempt(session, job, finished_at=func.now(), **values)


async def _end_attempt(session: AsyncSession, job: AnnotationJob, **values: Any) -> bool:
    """End an attempt. If a review has changed the annotation meanwhile, it is due again whatever the result."""
    version = select(Annotation.version).where(Annotation.call_sid == job.call_sid).with_for_update()
    if await session.scalar(version) != job.version:
        values = _AGAIN | {"available_at": func.now()}
    return await _LEASES.end_attempt(session, job.call_sid, job.locked_by, **values)
