"""The state of a call's analysis: a function of how the call went and how its recordings stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.storable import LARGEST_INTEGER
from amd_service.calls.tables import BROKEN_OFF, MEDIA_STREAM, CallLog, Recording, RecordingState, VerdictRow
from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    AccountSid,
    ActionState,
    AnalysisState,
    CallSid,
    CallStatus,
    Failure,
    Label,
)
from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Failures that mean there never was any audio.
WITHOUT_AUDIO = (Failure.NO_RECORDING, Failure.RECORDING_FAILED)

_ACTED_UPON = (ActionState.DUE, ActionState.SENT, ActionState.DONE)

# Terminal statuses of a call that nobody answered.
_UNANSWERED = frozenset(TERMINAL_CALL_STATUSES) - {CallStatus.COMPLETED}

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """A recording and, once it is done, the run its verdict rests on."""

    recording: Recording
    verdict: VerdictRow | None

    @property
    def is_stream(self) -> bool:
        return self.recording.source == MEDIA_STREAM

    @property
    def is_whole(self) -> bool:
        """False for a stream whose connection broke off before its verdict: what was heard may be half a greeting."""
        return self.recording.recording_status != BROKEN_OFF

    @property
    def decides(self) -> bool:
        return self.verdict is not None and self.verdict.label in (Label.HUMAN, Label.VOICEMAIL)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """State of a call's analysis; `standing` is what a verdict rests on, `failure` why there is none."""

    state: AnalysisState
    standing: RecordingResult | None = None
    failure: str | None = None


def conclude(
    call_status: str | None, standings: Sequence[RecordingResult], *, is_child: bool = False, asked: bool = False
) -> Conclusion:
    """What the recordings of a call, in any order, amount to.

    `is_child`: it is a leg that another call dialled. `asked`: Twilio's API was asked for recordings after the end.

    The earliest human or voicemail is the verdict, before all that of a live stream, which was first to say so. While
    none is, unfinished work comes before a weaker result (undecided, or of a stream that broke off): it may still give
    one. Of weaker results a recording's counts first: it heard the whole call.
    """
    ordered = sorted(standings, key=_by_start)
    states = {standing.recording.state for standing in ordered}
    done = [standing for standing in ordered if standing.verdict is not None]
    dead = [standing.recording.failure for standing in ordered if standing.recording.state == RecordingState.DEAD]
    deciding = [standing for standing in done if standing.decides and standing.is_whole]
    if deciding:
        return Conclusion(AnalysisState.JUDGED, min(deciding, key=lambda standing: not standing.is_stream))
    if RecordingState.RUNNING in states:
        return Conclusion(AnalysisState.RUNNING)
    if RecordingState.QUEUED in states:
        return Conclusion(AnalysisState.QUEUED)
    may_still_come = RecordingState.NOTED in states and not (asked and call_status in TERMINAL_CALL_STATUSES)
    if done and all(standing.is_stream for standing in done) and may_still_come:
        return Conclusion(AnalysisState.WAITING)
    if done:
        return Conclusion(AnalysisState.JUDGED, min(done, key=lambda weak: (weak.is_stream, not weak.decides)))
    if call_status in _UNANSWERED and all(failure in WITHOUT_AUDIO for failure in dead):
        return Conclusion(AnalysisState.NOT_APPLICABLE)
    # Twilio files a two-leg call's recordings under the parent; until its end a leg may still get one of its own.
    if not standings and is_child and call_status in TERMINAL_CALL_STATUSES:
        return Conclusion(AnalysisState.NOT_APPLICABLE)
    if not standings and asked and call_status == CallStatus.COMPLETED:
        return Conclusion(AnalysisState.FAILED, failure=Failure.NO_RECORDING)
    if RecordingState.NOTED in states or not dead:
        return Conclusion(AnalysisState.WAITING)
    return Conclusion(AnalysisState.FAILED, failure=dead[0])


def _by_start(standing: RecordingResult) -> tuple[datetime, str]:
    return standing.recording.started_at or _LAST, standing.recording.recording_sid


async def ensure_call(session: AsyncSession, call_sid: CallSid, account_sid: AccountSid) -> bool:
    """The call has a row from here on: a recording or a stream may come before anybody told of the call.

    False where it is another account's: one account's token must not move another's call.
    """
    statement = insert(CallLog).values(call_sid=call_sid, account_sid=account_sid, analysis_state=AnalysisState.WAITING)
    await session.execute(statement.on_conflict_do_nothing())
    owner = await session.scalar(select(CallLog.account_sid).where(CallLog.call_sid == call_sid))
    if owner == account_sid:
        return True
    log.warning("told of another account's call, not used", call_sid=call_sid, account_sid=account_sid)
    return False


async def refresh_calls(session: AsyncSession, call_sids: Iterable[str]) -> None:
    """Lock these calls and write their conclusions onto their rows."""
    # In one order, so that two writers never wait for each other's calls.
    for call_sid in sorted(set(call_sids)):
        await refresh_call(session, await lock_call(session, call_sid))


async def lock_call(session: AsyncSession, call_sid: str) -> CallLog:
    """The call's row, locked against other writers until the transaction ends.

    Whoever also locks a recording does that first: one order everywhere, so two writers never wait for each other.
    """
    statement = select(CallLog).where(CallLog.call_sid == call_sid).with_for_update(key_share=True)
    return (await session.scalars(statement.execution_options(populate_existing=True))).one()


async def refresh_call(session: AsyncSession, call: CallLog) -> None:
    """Write the conclusion of a locked call onto its row."""
    await session.flush()
    conclusion = conclude(
        call.call_status,
        await _standings(session, call.call_sid),
        is_child=call.parent_call_sid is not None,
        asked=call.reconciled_at is not None,
    )
    # What the call was hung up or redirected for stays on its row, whatever is heard later.
    if call.action_state not in _ACTED_UPON:
        call.analysis_state = conclusion.state
        _write_verdict(call, conclusion)
    call.answer_to_verdict_ms = _milliseconds(call.answered_at, call.verdict_at)
    await session.flush()


def _write_verdict(call: CallLog, conclusion: Conclusion) -> None:
    standing = conclusion.standing
    verdict = standing.verdict if standing else None
    call.label = verdict.label if verdict else None
    call.confidence = verdict.confidence if verdict else None
    call.reason = verdict.reason if verdict else conclusion.failure
    call.channels_mixed = verdict.channels_mixed if verdict else None
    call.model_id = verdict.model_id if verdict else None
    call.model_revision = verdict.model_revision if verdict else None
    call.verdict_at = verdict.created_at if verdict else None
    call.verdict_ms = _elapsed_ms(standing) if standing else None
    call.verdict_source = verdict.source if verdict else None


def _elapsed_ms(standing: RecordingResult) -> int | None:
    queued_at = standing.recording.queued_at
    return None if standing.verdict is None else _milliseconds(queued_at, standing.verdict.created_at)


def _milliseconds(since: datetime | None, until: datetime | None) -> int | None:
    if since is None or until is None:
        return None
    elapsed_ms = round((until - since).total_seconds() * 1000)
    # Recordings are judged again months later: what passes the column (24 days) says nothing any more. Two machines'
    # clocks: a verdict before the answer is one at the answer.
    return max(0, elapsed_ms) if elapsed_ms <= LARGEST_INTEGER else None


async def _standings(session: AsyncSession, call_sid: str) -> list[RecordingResult]:
    # The latest deciding run counts: a recording that is judged again gets new rows, the old ones stay.
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
        .outerjoin(VerdictRow, (VerdictRow.id == latest) & (Recording.state == RecordingState.DONE))
        .where(Recording.call_sid == call_sid)
        .execution_options(populate_existing=True)
    )
    return [RecordingResult(recording, verdict) for recording, verdict in await session.execute(statement)]
