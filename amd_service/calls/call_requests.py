"""Requests to place a call → rows: at most one call a key, and no more in a minute than is allowed.

Every change of a request is guarded by its being `pending`: what has come to an end stays as it ended.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Update, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import CallLog, CallRequestRow, RequestOutcome
from amd_service.domain import AccountSid, CallSid

# Twilio is asked for seconds (AMD_TWILIO_TIMEOUT_S); a request that is pending for longer lost its process.
PENDING_S = 60.0

# Any number will do as long as every process uses the same one.
_RESERVATION_LOCK = 7_312_841

_AGE_S = func.extract("epoch", func.clock_timestamp() - CallRequestRow.created_at)


@dataclass(frozen=True, slots=True)
class Reserved:
    """The key is this request's: Twilio may be asked, once."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A request with this key was made before.

    `outcome`: as it stands now; one that is pending for too long counts as unknown. `call_sid`: not None exactly when
    placed; `call_status`: that call's, None when its row is gone.
    """

    fingerprint: str
    outcome: RequestOutcome
    call_sid: CallSid | None
    call_status: str | None


@dataclass(frozen=True, slots=True)
class Crowded:
    """As many calls as are allowed were asked for in the last minute; there is room again in `wait_s` seconds."""

    wait_s: float


async def reserve(
    session: AsyncSession, *, key: str, fingerprint: str, account_sid: AccountSid, per_minute: int
) -> Reserved | Earlier | Crowded:
    """Take `key` for a request, unless it was taken before or `per_minute` requests were made in the last minute.

    Commit before Twilio is asked: only then does the row keep everybody else from asking.
    """
    # One at a time, in all processes: without it two of them would count the same last free place, and both take it.
    await session.execute(select(func.pg_advisory_xact_lock(_RESERVATION_LOCK)))
    earlier = await _earlier(session, key)
    if earlier is not None:
        return earlier
    wait_s = await _seconds_until_room(session, per_minute)
    if wait_s > 0:
        return Crowded(wait_s)
    await session.execute(
        insert(CallRequestRow).values(
            key=key,
            fingerprint=fingerprint,
            account_sid=account_sid,
            outcome=RequestOutcome.PENDING,
            # now() is when the transaction began: before it waited for the lock, and for whom.
            created_at=func.clock_timestamp(),
        )
    )
    return Reserved()


async def placed(session: AsyncSession, key: str, call_sid: CallSid) -> None:
    """Twilio placed the call."""
    await session.execute(_pending(key, outcome=RequestOutcome.PLACED, call_sid=call_sid))


async def unknown(session: AsyncSession, key: str) -> None:
    """Whether Twilio placed the call is not known, and will not be found out by asking again."""
    await session.execute(_pending(key, outcome=RequestOutcome.UNKNOWN))


async def release(session: AsyncSession, key: str) -> None:
    """Nothing was placed: the key is free again, and the request counts for nothing."""
    await session.execute(delete(CallRequestRow).where(*_is_pending(key)))


async def _earlier(session: AsyncSession, key: str) -> Earlier | None:
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
    return Earlier(fingerprint, RequestOutcome(outcome), None if call_sid is None else CallSid(call_sid), call_status)


async def _seconds_until_room(session: AsyncSession, per_minute: int) -> float:
    """Once the request that is `per_minute` places back is a minute old, one more fits; 0 or less when it does now."""
    statement = select(_AGE_S).order_by(CallRequestRow.created_at.desc()).offset(per_minute - 1).limit(1)
    age_s = await session.scalar(statement)
    return 0.0 if age_s is None else 60.0 - float(age_s)


def _is_pending(key: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return CallRequestRow.key == key, CallRequestRow.outcome == RequestOutcome.PENDING


def _pending(key: str, **values: object) -> Update:
    return update(CallRequestRow).where(*_is_pending(key)).values(**values)
