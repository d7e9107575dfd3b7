"""What reconciliation reads and writes: whose turn it is, which calls lack something, and what came of asking."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.analysis import lock_call, refresh_call
from amd_service.calls.tables import CallLog, Recording, RecordingState, Sweep
from amd_service.calls.tables.call_log import OPEN
from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    TERMINAL_RECORDING_STATUSES,
    AccountSid,
    CallSid,
    Failure,
    RecordingSid,
)


@dataclass(frozen=True, slots=True)
class SweepLease:
    """One process's claim to sweep an account. `began_at`: when, by the database's clock; `first_at`: the first one."""

    account_sid: AccountSid
    first_at: datetime
    swept_until: datetime | None
    began_at: datetime
    lease_ends_at: datetime


@dataclass(frozen=True, slots=True)
class KnownCall:
    """What is known of a call that asking may change. `recordings`: SID and RecordingStatus of each."""

    call_status: str | None
    recordings: frozenset[tuple[str, str | None]]


async def acquire_lease(session: AsyncSession, account_sid: AccountSid, *, lease_s: float) -> SweepLease | None:
    """Claim an account whose sweep is due; None while another process has it, or it was swept a moment ago."""
    await session.execute(insert(Sweep).values(account_sid=account_sid).on_conflict_do_nothing())
    lease_ends_at = func.clock_timestamp() + timedelta(seconds=lease_s)
    statement = (
        update(Sweep)
        .where(Sweep.account_sid == account_sid, Sweep.available_at <= func.clock_timestamp())
        .values(available_at=lease_ends_at)
        .returning(Sweep.created_at, Sweep.swept_until, func.now(), Sweep.available_at)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else SweepLease(account_sid, *row)


async def renew_lease(session: AsyncSession, turn: SweepLease, *, lease_s: float) -> SweepLease | None:
    """The claim with a new lease; None once another process has taken it over."""
    lease_ends_at = func.clock_timestamp() + timedelta(seconds=lease_s)
    statement = update(Sweep).where(_held(turn)).values(available_at=lease_ends_at).returning(Sweep.available_at)
    renewed = await session.scalar(statement)
    return None if renewed is None else replace(turn, lease_ends_at=renewed)


async def finish_sweep(session: AsyncSession, turn: SweepLease, *, complete: bool, next_in_s: float) -> None:
    """Give the account back. `complete`: everything made before the turn began has been asked for."""
    swept_until = turn.began_at if complete else turn.swept_until
    available_at = func.clock_timestamp() + timedelta(seconds=next_in_s)
    await session.execute(update(Sweep).where(_held(turn)).values(swept_until=swept_until, available_at=available_at))


def _held(turn: SweepLease) -> ColumnElement[bool]:
    return (Sweep.account_sid == turn.account_sid) & (Sweep.available_at == turn.lease_ends_at)


async def statuses(session: AsyncSession, call_sids: Collection[CallSid]) -> dict[str, str | None]:
    """The CallStatus of each of these calls that we know."""
    statement = select(CallLog.call_sid, CallLog.call_status).where(CallLog.call_sid.in_(call_sids))
    return {sid: status for sid, status in await session.execute(statement)}  # noqa: C416 - a Row is no pair to mypy


async def settled_recordings(session: AsyncSession, sids: Collection[RecordingSid]) -> set[str]:
    """Those of these recordings of which Twilio has told all there is to tell."""
    statement = select(Recording.recording_sid).where(
        Recording.recording_sid.in_(sids), Recording.recording_status.in_(TERMINAL_RECORDING_STATUSES)
    )
    return set((await session.scalars(statement)).all())


async def open_calls(
    session: AsyncSession, account_sid: AccountSid, *, since: datetime, quiet_s: float
) -> list[CallSid]:
    """Calls of which something is still to come, first seen since then, in no order: where a sweep ends, too.

    Those that began, or ended, in the last `quiet_s` seconds are left out: their callbacks are on their way.
    """
    quiet_since = func.now() - timedelta(seconds=quiet_s)
    statement = (
        select(CallLog.call_sid)
        .where(
            CallLog.account_sid == account_sid,
            text(f"({OPEN})"),
            CallLog.created_at >= since,
            CallLog.created_at <= quiet_since,
            func.coalesce(CallLog.ended_at, CallLog.created_at) <= quiet_since,
        )
        .order_by(func.random())
    )
    return [CallSid(sid) for sid in await session.scalars(statement)]


async def ended_calls(
    session: AsyncSession, call_sids: Collection[CallSid], *, quiet_s: float, since: datetime | None = None
) -> list[CallSid]:
    """Those of these calls that were first seen since then and ended at least `quiet_s` seconds ago, in no order."""
    statement = select(CallLog.call_sid).where(
        CallLog.call_sid.in_(call_sids),
        true() if since is None else CallLog.created_at >= since,
        CallLog.call_status.in_(TERMINAL_CALL_STATUSES),
        func.coalesce(CallLog.ended_at, CallLog.created_at) <= func.now() - timedelta(seconds=quiet_s),
    )
    return [CallSid(sid) for sid in await session.scalars(statement.order_by(func.random()))]


async def any_closed(session: AsyncSession, call_sids: Collection[CallSid], *, since: datetime) -> bool:
    """Whether one of these calls, first seen since then, is not open: `open_calls` will not name it again."""
    statement = select(CallLog.call_sid).where(
        CallLog.call_sid.in_(call_sids), text(f"not ({OPEN})"), CallLog.created_at >= since
    )
    return await session.scalar(statement.limit(1)) is not None


async def known_call(session: AsyncSession, call_sid: CallSid) -> KnownCall | None:
    """How a call stands, None for one we do not know."""
    status = await statuses(session, [call_sid])
    if call_sid not in status:
        return None
    recordings = await session.execute(
        select(Recording.recording_sid, Recording.recording_status).where(Recording.call_sid == call_sid)
    )
    return KnownCall(status[call_sid], frozenset((sid, status) for sid, status in recordings))


async def note_asked(
    session: AsyncSession, call_sid: CallSid, listed: Collection[RecordingSid], *, quiet_s: float
) -> bool:
    """Twilio has been asked for all of a call, and listed these recordings. Whether that changes its analysis.

    A completed call without a recording has none, and one we were told of that is not listed is gone. A call that ended
    in the last `quiet_s` seconds, or has not ended, may still get one: nothing is noted.
    """
    if not await ended_calls(session, [call_sid], quiet_s=quiet_s):
        return False
    await _bury_unlisted(session, call_sid, listed)
    call = await lock_call(session, call_sid)
    state = call.analysis_state
    call.reconciled_at = await session.scalar(select(func.now()))
    await refresh_call(session, call)
    return call.analysis_state != state


async def _bury_unlisted(session: AsyncSession, call_sid: CallSid, listed: Collection[RecordingSid]) -> None:
    # As the intake ends one that Twilio calls absent: a callback that comes after all opens it again.
    statement = (
        update(Recording)
        .where(
            Recording.call_sid == call_sid,
            Recording.state == RecordingState.NOTED,
            Recording.recording_sid.not_in(listed),
        )
        .values(state=RecordingState.DEAD, failure=Failure.NO_RECORDING, finished_at=func.now())
        .execution_options(synchronize_session=False)
    )
    await session.execute(statement)
