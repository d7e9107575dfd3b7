"""Requests to place a call: at most one call per Idempotency-Key, and a maximum number of requests per minute.

Every update requires the request to be `pending`, so an outcome never changes once it is written.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Update, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import CallLog, CallRequestRow, RequestOutcome
from amd_service.domain import AccountSid, CallSid

# A request to Twilio takes seconds (AMD_TWILIO_TIMEOUT_S). If a request is pending for longer than this number of
# seconds, its process is assumed to have crashed.
PENDING_S = 60.0

# Key of a Postgres advisory lock. The number is arbitrary, but every process must use the same number.
RESERVATION_LOCK = 7_312_841

_AGE_S = func.extract("epoch", func.clock_timestamp() - CallRequestRow.created_at)


@dataclass(frozen=True, slots=True)
class Reserved:
    """The key is reserved for this request. The caller may send the request to Twilio once."""


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """An earlier request with this key.

    `outcome`: UNKNOWN if the request has been pending for more than PENDING_S seconds. `call_sid`: has a value if and
    only if the outcome is PLACED. `call_status`: CallStatus of the placed call; None if it is not known.
    """

    fingerprint: str
    outcome: RequestOutcome
    call_sid: CallSid | None
    call_status: str | None


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The request is refused, because the maximum number of requests was sent in the last minute.

    `wait_s`: seconds until the next request is allowed.
    """

    wait_s: float


async def reserve(
    session: AsyncSession, *, key: str, fingerprint: str, account_sid: AccountSid, per_minute: int
) -> Reserved | EarlierRequest | RateLimited:
    """Reserve `key` for a request, unless the key was used before or `per_minute` requests were reserved in the last
    minute.

    Commit before the request to Twilio: the row stops other processes from sending the same request only once it is
    committed.
    """
    # The lock allows one reservation at a time over all processes. Without it two processes could both use the last
    # request of the minute.
    await session.execute(select(func.pg_advisory_xact_lock(RESERVATION_LOCK)))
    earlier = await _earlier_request(session, key)
    if earlier is not None:
        return earlier
    # The next request is allowed once the `per_minute`-th latest request is a minute old.
    limiting = select(_AGE_S).order_by(CallRequestRow.created_at.desc()).offset(per_minute - 1).limit(1)
    age_s = await session.scalar(limiting)
    if age_s is not None and age_s < 60:
        return RateLimited(wait_s=60.0 - float(age_s))
    await session.execute(
        insert(CallRequestRow).values(
            key=key,
            fingerprint=fingerprint,
            account_sid=account_sid,
            outcome=RequestOutcome.PENDING,
            # now() would be wrong: it returns the start of the transaction, which is before the transaction waited for
            # the lock. The requests would then be sorted in the wrong order.
            created_at=func.clock_timestamp(),
        )
    )
    return Reserved()


async def record_placed(session: AsyncSession, key: str, call_sid: CallSid) -> None:
    """Record that Twilio placed the call."""
    await session.execute(_update_pending(key, outcome=RequestOutcome.PLACED, call_sid=call_sid))


async def record_unknown(session: AsyncSession, key: str) -> None:
    """Record that Twilio's response was lost. Twilio may have placed the call, so the request must not be repeated."""
    await session.execute(_update_pending(key, outcome=RequestOutcome.UNKNOWN))


async def release(session: AsyncSession, key: str) -> None:
    """Delete a request that placed no call. Its key is free again, and it does not count against the rate limit."""
    await session.execute(delete(CallRequestRow).where(_is_pending(key)))


async def _earlier_request(session: AsyncSession, key: str) -> EarlierRequest | None:
    statement = (
        select(CallRequestRow.fingerprint, CallRequestRow.outcome, CallRequestRow.call_sid, CallLog.call_status, _AGE_S)
        .outerjoin(CallLog, CallLog.call_sid == CallRequestRow.call_sid)
        .where(CallRequestRow.key == key)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    fingerprint, outcome, call_sid, call_status, age_s = row
    if outcome == RequestOutcome.PENDING and age_s > PENDING_S:
        outcome = RequestOutcome.UNKNOWN
    placed_sid = None if call_sid is None else CallSid(call_sid)
    return EarlierRequest(fingerprint, RequestOutcome(outcome), placed_sid, call_status)


def _is_pending(key: str) -> ColumnElement[bool]:
    return (CallRequestRow.key == key) & (CallRequestRow.outcome == RequestOutcome.PENDING)


def _update_pending(key: str, **values: object) -> Update:
    return update(CallRequestRow).where(_is_pending(key)).values(**values)
