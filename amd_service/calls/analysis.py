"""Derives the analysis of a call from its status and its recordings, and writes it onto the locked row of the call."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.array_parameters import any_of
from amd_service.calls.conclusion import Conclusion, RecordingResult, conclude
from amd_service.calls.outbox import add_events, outcome_of
from amd_service.calls.storable import LARGEST_INTEGER
from amd_service.calls.tables import CallLog, Recording, VerdictRow
from amd_service.domain import AccountSid, ActionState, AnalysisState, CallSid
from amd_service.telemetry import get_logger

log = get_logger(__name__)

_ACTED_UPON = (ActionState.DUE, ActionState.SENT, ActionState.DONE)


@dataclass(frozen=True, slots=True)
class Settled:
    """A stored verdict on a recording or stream.

    `answer_to_verdict_s`: seconds from the answer of the call to the call's verdict. None if the time of the answer is
    not known, if the call's verdict comes from another recording, or if the recording was judged again. `campaign`: the
    campaign of the call, as far as its callbacks have arrived.
    """

    answer_to_verdict_s: float | None
    campaign: str | None

    @classmethod
    def of(cls, call: CallLog, recording_sid: str, *, is_first: bool = True) -> Self:
        """Return the result for a call that `refresh_call` has updated."""
        elapsed_ms = call.answer_to_verdict_ms if is_first and call.recording_sid == recording_sid else None
        return cls(None if elapsed_ms is None else elapsed_ms / 1000, call.campaign)


async def ensure_call(session: AsyncSession, call_sid: CallSid, account_sid: AccountSid) -> bool:
    """Insert the call's row if it is missing. A recording or a stream may arrive before the first status callback.

    Returns False if the row belongs to another account. The caller must then change nothing: a callback that is signed
    with one account's token must not change another account's call.
    """
    statement = insert(CallLog).values(call_sid=call_sid, account_sid=account_sid, analysis_state=AnalysisState.WAITING)
    await session.execute(statement.on_conflict_do_nothing())
    owner = await session.scalar(select(CallLog.account_sid).where(CallLog.call_sid == call_sid))
    if owner == account_sid:
        return True
    log.warning("call of another account, ignored", call_sid=call_sid, account_sid=account_sid)
    return False


async def refresh_calls(session: AsyncSession, call_sids: Iterable[str]) -> None:
    """Lock the rows of these calls, and write the current analysis onto each row."""
    # Sorted, because two transactions that lock several calls in different orders can deadlock.
    for call_sid in sorted(set(call_sids)):
        await refresh_call(session, await lock_call(session, call_sid))


async def lock_call(session: AsyncSession, call_sid: str) -> CallLog:
    """Lock the call's row against other writers until the transaction ends, and return the row.

    A transaction that also locks a recording must lock the recording first. Every writer uses this order, so two
    writers never deadlock.
    """
    statement = select(CallLog).where(CallLog.call_sid == call_sid).with_for_update(key_share=True)
    return (await session.scalars(statement.execution_options(populate_existing=True))).one()


async def refresh_call(session: AsyncSession, call: CallLog) -> None:
    """Compute the analysis of a locked call and write it onto the call's row. A new final state makes an event."""
    await refresh_locked(session, [call], [call.call_sid])


async def refresh_locked(session: AsyncSession, calls: Sequence[CallLog], recorded: Collection[str]) -> None:
    """Do the same as `refresh_call` for several locked calls, with as many statements as for one call.

    `recorded`: at least the calls among them that have recordings, as read after the calls were locked.
    """
    before = {call.call_sid: outcome_of(call) for call in calls}
    # Later results must not replace a verdict for which an action is scheduled, sent or done.
    open_calls = [call for call in calls if call.action_state not in _ACTED_UPON]
    results = await _results(session, [call.call_sid for call in open_calls if call.call_sid in recorded])
    for call in open_calls:
        conclusion = conclude(
            call.call_status,
            results[call.call_sid],
            is_child=call.parent_call_sid is not None,
            is_reconciled=call.reconciled_at is not None,
        )
        call.analysis_state = conclusion.state
        _write_verdict(call, conclusion)
    for call in calls:
        call.answer_to_verdict_ms = _elapsed_ms(call.answered_at, call.verdict_at)
    await add_events(session, [call for call in calls if outcome_of(call) != before[call.call_sid]])
    await session.flush()


def _write_verdict(call: CallLog, conclusion: Conclusion) -> None:
    result = conclusion.result
    verdict = result.verdict if result else None
    # While a recording is judged again, its `queued_at` is later than its verdict. `verdict_ms` must keep its value.
    if verdict and (verdict.recording_sid, verdict.created_at) == (call.recording_sid, call.verdict_at):
        return
    call.label = verdict.label if verdict else None
    call.confidence = verdict.confidence if verdict else None
    call.reason = verdict.reason if verdict else conclusion.failure
    call.channels_mixed = verdict.channels_mixed if verdict else None
    call.model_id = verdict.model_id if verdict else None
    call.model_revision = verdict.model_revision if verdict else None
    call.verdict_at = verdict.created_at if verdict else None
    call.verdict_ms = _elapsed_ms(result.recording.queued_at if result else None, call.verdict_at)
    call.verdict_source = verdict.source if verdict else None
    call.recording_sid = verdict.recording_sid if verdict else None
    call.heard = (verdict.evidence or {}).get("heard") if verdict else None


def _elapsed_ms(since: datetime | None, until: datetime | None) -> int | None:
    """Return the milliseconds between two times, or None if one time is unknown or the column cannot hold the result.

    The column can hold 24 days. If a recording is judged again months later, its delay exceeds this limit and is not
    stored. A negative delay becomes 0, because the two times can come from the clocks of two machines.
    """
    if since is None or until is None:
        return None
    elapsed_ms = round((until - since).total_seconds() * 1000)
    return max(0, elapsed_ms) if elapsed_ms <= LARGEST_INTEGER else None


async def _results(session: AsyncSession, call_sids: Sequence[str]) -> defaultdict[str, list[RecordingResult]]:
    """Return the results of the recordings of these calls, by CallSid."""
    results: defaultdict[str, list[RecordingResult]] = defaultdict(list)
    if not call_sids:
        return results
    # The query reads the recordings again, so it must not overwrite changes that are not yet written.
    await session.flush()
    # Only the latest model run that produced a verdict counts. A recording that is judged again gets new rows and keeps
    # its old rows. The state of the recording does not matter: while it is judged again, and after a failed second
    # attempt, its earlier verdict still counts.
    latest = (
        select(VerdictRow.id)
        .where(VerdictRow.recording_sid == Recording.recording_sid, VerdictRow.decided)
        .order_by(VerdictRow.id.desc())
        .limit(1)
        .correlate(Recording)
        .scalar_subquery()
    )
    statement = (
        select(Recording, VerdictRow)
        .outerjoin(VerdictRow, VerdictRow.id == latest)
        .where(Recording.call_sid == any_of(call_sids))
        .execution_options(populate_existing=True)
    )
    for recording, verdict in await session.execute(statement):
        results[recording.call_sid].append(RecordingResult(recording, verdict))
    return results
