"""Requests to place a call: at most one call per Idempotency-Key, and a limit per minute.

Every update requires the request to be `pending`: an outcome that has been written stays.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Update, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import CallLog, CallRequestRow, RequestOutcome
from amd_service.domain import AccountSid, CallSid

# A request to Twilio takes seconds (AMD_TWILIO_TIMEOUT_S). After this long a pending request has lost its process.
PENDING_S = 60.0

# Any number will do as long as every process uses the same one.
RESERVATION_LOCK = 7_312_841

_AGE_S = func.extract("epoch", func.clock_timestamp() - CallRequestRow.created_at)


@dataclass(frozen=True, slots=True)
class Reserved:
    """The key is reserved for this request, which may now be sent to Twilio once."""


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """An earlier request with this key.

    `outcome`: one that has been pending for too long counts as unknown. `call_sid`: not None exactly when placed.
    `call_status`: of that call, None if its row is gone.
    """

    fingerprint: str
    outcome: RequestOutcome
    call_sid: CallSid | None
    call_status: str | None


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The limit of the last minute is used up. `wait_s`: seconds until another request fits."""

    wait_s: float


async def reserve(
    session: AsyncSession, *, key: str, fingerprint: str, account_sid: AccountSid, per_minute: int
) -> Reserved | EarlierRequest | RateLimited:
    """Reserve `key` for a request, unless the key was used before or the last minute had `per_minute` requests.

    Commit before the request to Twilio: only then does the row stop other processes from sending it too.
    """
    # One reservation at a time over all processes. Otherwise two of them would both count the last free slot as theirs.
    await session.execute(select(func.pg_advisory_xact_lock(RESERVATION_LOCK)))
    earlier = await _earlier_request(session, key)
    if earlier is not None:
        return earlier
    # Another request fits once the `per_minute`-th latest one is a minute old.
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
            # now() is the start of the transaction, before it waited for the lock: requests would sort wrongly.
            created_at=func.clock_timestamp(),
        )
    )
    return Reserved()


async def record_placed(session: AsyncSession, key: str, call_sid: CallSid) -> None:
    """Twilio placed the call."""
    await session.execute(_update_pending(key, outcome=RequestOutcome.PLACED, call_sid=call_sid))


async def record_unknown(session: AsyncSession, key: str) -> None:
    """Twilio's response was lost: the call may have been placed, and another request could place it twice."""
    await session.execute(_update_pending(key, outcome=RequestOutcome.UNKNOWN))


async def release(session: AsyncSession, key: str) -> None:
    """Nothing was placed: the key is free again, and the request does not count against the limit."""
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
