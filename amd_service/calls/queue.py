"""The queue of recordings, stored in the table `recording`: claim, heartbeat, settle, retry, release, give up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import actions
from amd_service.calls.analysis import Settled, lock_call, refresh_call, refresh_calls
from amd_service.calls.leases import Leases, from_now, new_token
from amd_service.calls.storable import storable
from amd_service.calls.tables import AGAIN, FIRST, CallLog, Recording, RecordingState, VerdictRow
from amd_service.calls.verdict_rows import verdict_rows
from amd_service.domain import AccountSid, Action, CallSid, Failure, Job, Label, RecordingSid, Source, Verdict

_LEASES = Leases(Recording, Recording.recording_sid)

# SQL: an unfinished recording already has a verdict, and is being judged again.
_HAS_VERDICT = Recording.finished_at.is_not(None)

# SQL, for a due recording: its worker died, and the last attempt ended without a result. If the recording is given up,
# the crash is the reason, and not the error of an earlier attempt.
_IS_CRASHED = Recording.state == RecordingState.RUNNING


async def claim(session: AsyncSession, *, worker: str, limit: int, lease_s: float, max_attempts: int) -> list[Job]:
    """Claim up to `limit` due jobs for `lease_s` seconds. Jobs that already had `max_attempts` attempts stay due.

    Changes only the rows of the jobs. Any session may hold a lock on the row of a call, and a claim that waited for the
    lock would delay the recordings of all other calls. So use `show_running` afterwards, in a separate transaction.
    """
    due = select(Recording.recording_sid).where(Recording.attempts < max_attempts)
    sids = await _lock_due(session, due, limit)
    statement = (
        update(Recording)
        .where(Recording.recording_sid.in_(sids))
        .values(
            state=RecordingState.RUNNING,
            attempts=Recording.attempts + 1,
            locked_by=new_token(worker),
            available_at=from_now(lease_s),
            last_error=_last_error(),
            last_failure=case((_IS_CRASHED, Failure.GAVE_UP), else_=Recording.last_failure),
        )
        .returning(Recording)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return [_job(recording, lease_s, max_attempts) for recording in await session.scalars(statement)] if sids else []


async def show_running(session: AsyncSession, jobs: Sequence[Job]) -> None:
    """Write the state of claimed jobs onto their calls. Skips calls whose row is locked, because a result follows."""
    sids = {str(job.call_sid) for job in jobs}
    free = select(CallLog.call_sid).where(CallLog.call_sid.in_(sids)).order_by(CallLog.call_sid)
    await refresh_calls(session, (await session.scalars(free.with_for_update(skip_locked=True, key_share=True))).all())


async def give_up_spent(session: AsyncSession, *, limit: int, max_attempts: int) -> Counter[str]:
    """Give up due jobs that had `max_attempts` attempts. Returns the number of jobs by the reason for giving up.

    Jobs are given up when they are due again and not at the end of their last attempt, because some recordings crash
    every worker. A job whose call is locked stays due. A recording that has a verdict from an earlier attempt is
    counted too, although it keeps this verdict.
    """
    spent = select(Recording.recording_sid).where(Recording.attempts >= max_attempts)
    sids = await _lock_due(session, spent.join(CallLog, CallLog.call_sid == Recording.call_sid), limit)
    failure = case((_IS_CRASHED, Failure.GAVE_UP), else_=func.coalesce(Recording.last_failure, Failure.GAVE_UP))
    statement = (
        update(Recording)
        .where(Recording.recording_sid.in_(sids))
        .values(
            state=_state_without_result(),
            failure=case((_HAS_VERDICT, None), else_=failure),
            finished_at=func.now(),
            locked_by=None,
            last_error=_last_error(),
            last_failure=failure,
        )
        .returning(Recording.call_sid, Recording.last_failure)
        .execution_options(synchronize_session=False)
    )
    given_up = (await session.execute(statement)).all() if sids else []
    await refresh_calls(session, (call_sid for call_sid, _ in given_up))
    return Counter(failure or "" for _, failure in given_up)


async def _lock_due(session: AsyncSession, statement: Select[str], limit: int) -> list[str]:
    """Lock up to `limit` due rows of `statement` and return the SIDs of the recordings.

    Recordings that are judged again come last, so that they never delay the verdict on a new call.
    """
    sids: list[str] = []
    for condition in (FIRST, AGAIN):
        due = statement.where(text(condition), Recording.available_at <= func.now())
        # SKIP LOCKED: do not wait for rows that another worker is claiming, or that a callback is changing.
        locked = due.order_by(Recording.available_at).with_for_update(skip_locked=True, key_share=True)
        sids += (await session.scalars(locked.limit(limit - len(sids)))).all()
        if len(sids) == limit:
            break
    return sids


def _last_error() -> ColumnElement[str]:
    """SQL: the error of the previous attempt. A worker that died has written none."""
    crash = func.concat("worker ", Recording.locked_by, " died or stalled in attempt ", Recording.attempts)
    return case((_IS_CRASHED, crash), else_=Recording.last_error)


def _job(recording: Recording, lease_s: float, max_attempts: int) -> Job:
    enqueued_at = recording.queued_at or recording.created_at
    return Job(
        recording_sid=RecordingSid(recording.recording_sid),
        account_sid=AccountSid(recording.account_sid),
        call_sid=CallSid(recording.call_sid),
        source=recording.source,
        track=recording.track,
        attempts=recording.attempts,
        locked_by=recording.locked_by or "",
        waited_s=max(0.0, (recording.available_at - enqueued_at).total_seconds() - lease_s),
        duration_s=recording.duration_s,
        is_last_attempt=recording.attempts >= max_attempts,
        has_verdict=recording.finished_at is not None,
        traceparent=recording.traceparent,
    )


async def heartbeat(session: AsyncSession, *, jobs: Sequence[Job], lease_s: float) -> frozenset[Job]:
    """Extend the lease of every job to `lease_s` seconds from now. Returns the jobs whose lease is not lost."""
    held = {(str(job.recording_sid), job.locked_by): job for job in jobs}
    return await _LEASES.heartbeat(session, held, lease_s=lease_s)


async def settle(session: AsyncSession, job: Job, verdict: Verdict, wanted: Mapping[Label, Action]) -> Settled | None:
    """Write the verdict, schedule the action that `wanted` contains for the verdict, and finish the job.

    All of this happens in one transaction. Returns None and writes nothing if the lease was lost. A recording that is
    judged again schedules no action: its call is over, or its first verdict has already scheduled the action.
    """
    values = {"state": RecordingState.DONE, "last_error": None, "last_failure": None}
    if not await _LEASES.end_attempt(session, job.recording_sid, job.locked_by, finished_at=func.now(), **values):
        return None
    await session.execute(
        insert(VerdictRow), verdict_rows(job.recording_sid, verdict, source=Source.RECORDING, attempt=job.attempts)
    )
    call = await lock_call(session, job.call_sid)
    await refresh_call(session, call)
    # If the call's verdict comes from a stream, its action was already scheduled during the call. So schedule an action
    # only if the call's verdict comes from this recording.
    if (call.verdict_source, call.label) == (Source.RECORDING, verdict.label) and not job.has_verdict:
        await actions.schedule(session, call, wanted)
    return Settled.of(call, job.recording_sid, is_first=not job.has_verdict)


async def retry_later(
    session: AsyncSession, job: Job, *, delay_s: float, error: str, failure: Failure = Failure.GAVE_UP
) -> bool:
    """Retry the job in `delay_s` seconds. Returns False if the lease was lost.

    `failure`: the reason for giving up, if this was the last attempt.
    """
    return await _end_and_refresh(
        session,
        job,
        state=RecordingState.QUEUED,
        available_at=from_now(delay_s),
        last_error=storable(error),
        last_failure=failure,
    )


async def release(session: AsyncSession, job: Job, *, delay_s: float = 0.0, error: str | None = None) -> bool:
    """End the attempt without counting it, because the recording is not the cause of its failure.

    Returns False if the lease was lost.
    """
    values: dict[str, Any] = {} if error is None else {"last_error": storable(error)}
    return await _end_and_refresh(
        session,
        job,
        state=RecordingState.QUEUED,
        available_at=from_now(delay_s),
        attempts=Recording.attempts - 1,
        **values,
    )


async def give_up(session: AsyncSession, job: Job, failure: Failure, error: str) -> bool:
    """End the job without a new verdict. Returns False if the lease was lost.

    The reason is written into `failure`, and never into the label. A recording that was judged again keeps its earlier
    verdict and the state `done`. The reason is then written into `last_failure` only.
    """
    return await _end_and_refresh(
        session,
        job,
        state=_state_without_result(),
        failure=case((_HAS_VERDICT, None), else_=failure),
        finished_at=func.now(),
        last_error=storable(error),
        last_failure=failure,
    )


def _state_without_result() -> ColumnElement[str]:
    """SQL: the state of a recording after its last attempt failed."""
    return case((_HAS_VERDICT, RecordingState.DONE), else_=RecordingState.DEAD)


async def _end_and_refresh(session: AsyncSession, job: Job, **values: Any) -> bool:
    if not await _LEASES.end_attempt(session, job.recording_sid, job.locked_by, **values):
        return False
    await refresh_calls(session, [job.call_sid])
    return True
