"""Queries for reconciliation: leases on accounts, incomplete calls, and the results of requests to Twilio's API."""

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
    """A process's lease on an account, for one sweep. All times come from the database's clock.

    `first_at`: start of the first sweep of the account. `began_at`: start of this sweep. `swept_until`: calls and
    recordings that were created before this time have been reconciled; None until a sweep has been completed.
    """

    account_sid: AccountSid
    first_at: datetime
    swept_until: datetime | None
    began_at: datetime
    lease_ends_at: datetime


@dataclass(frozen=True, slots=True)
class KnownCall:
    """The part of a call that reconciliation can change. `recordings`: pairs of SID and RecordingStatus."""

    call_status: str | None
    recordings: frozenset[tuple[str, str | None]]


async def acquire_lease(session: AsyncSession, account_sid: AccountSid, *, lease_s: float) -> SweepLease | None:
    """Lease an account for `lease_s` seconds. None if another process has the lease, or if no sweep is due yet."""
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


async def renew_lease(session: AsyncSession, lease: SweepLease, *, lease_s: float) -> SweepLease | None:
    """Extend the lease to `lease_s` seconds from now. None if another process has taken over the account."""
    lease_ends_at = func.clock_timestamp() + timedelta(seconds=lease_s)
    statement = update(Sweep).where(_is_held(lease)).values(available_at=lease_ends_at).returning(Sweep.available_at)
    renewed = await session.scalar(statement)
    return None if renewed is None else replace(lease, lease_ends_at=renewed)


async def finish_sweep(session: AsyncSession, lease: SweepLease, *, complete: bool, next_in_s: float) -> None:
    """Release the account until its next sweep in `next_in_s` seconds.

    `complete`: all calls and recordings that are older than this sweep have been reconciled.
    """
    swept_until = lease.began_at if complete else lease.swept_until
    available_at = func.clock_timestamp() + timedelta(seconds=next_in_s)
    statement = update(Sweep).where(_is_held(lease)).values(swept_until=swept_until, available_at=available_at)
    await session.execute(statement)


def _is_held(lease: SweepLease) -> ColumnElement[bool]:
    return (Sweep.account_sid == lease.account_sid) & (Sweep.available_at == lease.lease_ends_at)


async def call_statuses(session: AsyncSession, call_sids: Collection[CallSid]) -> dict[str, str | None]:
    """Return the CallStatus of these calls, by SID. Calls without a row are missing from the result."""
    statement = select(CallLog.call_sid, CallLog.call_status).where(CallLog.call_sid.in_(call_sids))
    return {sid: status for sid, status in await session.execute(statement)}  # noqa: C416 - a Row is no pair to mypy


async def finished_recordings(session: AsyncSession, sids: Collection[RecordingSid]) -> set[str]:
    """Return the SIDs of those recordings whose stored RecordingStatus is terminal."""
    statement = select(Recording.recording_sid).where(
        Recording.recording_sid.in_(sids), Recording.recording_status.in_(TERMINAL_RECORDING_STATUSES)
    )
    return set((await session.scalars(statement)).all())


async def open_calls(
    session: AsyncSession, account_sid: AccountSid, *, since: datetime, quiet_s: float
) -> list[CallSid]:
    """Return the open calls of the account whose row was created at or after `since`, in random order.

    Excludes calls that began or ended in the last `quiet_s` seconds, because their callbacks may still arrive. The
    random order ensures that every call is reconciled eventually, even if every sweep is interrupted.
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
    """Return the SIDs of those calls that ended at least `quiet_s` seconds ago, in random order.

    `since`: only calls whose row was created at or after this time.
    """
    statement = select(CallLog.call_sid).where(
        CallLog.call_sid.in_(call_sids),
        true() if since is None else CallLog.created_at >= since,
        CallLog.call_status.in_(TERMINAL_CALL_STATUSES),
        func.coalesce(CallLog.ended_at, CallLog.created_at) <= func.now() - timedelta(seconds=quiet_s),
    )
    return [CallSid(sid) for sid in await session.scalars(statement.order_by(func.random()))]


async def has_closed_call(session: AsyncSession, call_sids: Collection[CallSid], *, since: datetime) -> bool:
    """Return whether one of these calls is not open, and its row was created at or after `since`.

    `open_calls` does not return such a call again.
    """
    statement = select(CallLog.call_sid).where(
        CallLog.call_sid.in_(call_sids), text(f"not ({OPEN})"), CallLog.created_at >= since
    )
    return await session.scalar(statement.limit(1)) is not None


async def known_call(session: AsyncSession, call_sid: CallSid) -> KnownCall | None:
    """Return the stored state of a call, or None if the call has no row."""
    status = await call_statuses(session, [call_sid])
    if call_sid not in status:
        return None
    recordings = await session.execute(
        select(Recording.recording_sid, Recording.recording_status).where(Recording.call_sid == call_sid)
    )
    return KnownCall(status[call_sid], frozenset((sid, status) for sid, status in recordings))


async def record_reconciled(
    session: AsyncSession, call_sid: CallSid, listed: Collection[RecordingSid], *, quiet_s: float
) -> bool:
    """Record that Twilio's API listed exactly these recordings of a call; True if this changed the call's analysis.

    If a completed call has no recording, its analysis fails with `no_recording`. A stored recording that is not listed
    and has no audio yet is given up. Does nothing if the call has not ended, or if it ended in the last `quiet_s`
    seconds, because the call may still get a recording.
    """
    if not await ended_calls(session, [call_sid], quiet_s=quiet_s):
        return False
    await _give_up_unlisted(session, call_sid, listed)
    call = await lock_call(session, call_sid)
    state = call.analysis_state
    call.reconciled_at = await session.scalar(select(func.now()))
    await refresh_call(session, call)
    return call.analysis_state != state


async def _give_up_unlisted(session: AsyncSession, call_sid: CallSid, listed: Collection[RecordingSid]) -> None:
    # Same state and failure as for a recording that Twilio reports as absent, so a late callback can enqueue it again.
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
