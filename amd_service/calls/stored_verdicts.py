"""Reads the verdicts of past calls with all their runs, to decide again with other thresholds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from amd_service.calls.array_parameters import any_of
from amd_service.calls.call_filter import CallFilter, FilterRules, conditions
from amd_service.calls.call_pages import Cursor
from amd_service.calls.conclusion import RecordingResult, conclude
from amd_service.calls.review_results import REVIEWED, WEEK, stands_for_its_group
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.strata import stratum_of
from amd_service.calls.tables import CallLog, Recording, VerdictRow
from amd_service.calls.verdict_rows import stored_verdict
from amd_service.domain import VERDICT_SOURCES, Label, ReviewAnswer, Stratum, Verdict

# The columns that this module and `conclude` use. Reading all columns takes twice the time.
_CALL_COLUMNS = (
    CallLog.call_sid,
    CallLog.created_at,
    CallLog.label,
    CallLog.model_id,
    CallLog.recording_sid,
    CallLog.call_status,
    CallLog.parent_call_sid,
    CallLog.reconciled_at,
)
_RECORDING_COLUMNS = (
    Recording.recording_sid,
    Recording.call_sid,
    Recording.source,
    Recording.recording_status,
    Recording.started_at,
    Recording.state,
    Recording.failure,
)


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A judged call with the latest verdict on each of its recordings and streams.

    `week`: as in CallGroup. `answer`: what the first reviewer heard. `is_sampled`: the answer counts for error rates.
    `recordings`: also those without a verdict. `verdicts`: by RecordingSid.
    """

    call: CallLog
    label: Label
    stratum: Stratum
    week: date
    answer: ReviewAnswer | None
    is_sampled: bool
    recordings: Sequence[Recording]
    verdicts: Mapping[str, Verdict]

    def conclude_again(self, labels: Mapping[str, Label | None]) -> Label | None:
        """Return the label of the call if the recordings had these labels.

        `labels`: the label of each recording that has a verdict, None if it is not known. Returns None if the result
        depends on a label that is not known.
        """
        results = [
            # A label that is not known can be a decision. If it does not win as a decision, it wins in no case.
            RecordingResult(row, VerdictRow(label=labels[row.recording_sid] or Label.HUMAN))
            if row.recording_sid in labels
            else RecordingResult(row, None)
            for row in self.recordings
        ]
        result = conclude(
            self.call.call_status,
            results,
            is_child=self.call.parent_call_sid is not None,
            is_reconciled=self.call.reconciled_at is not None,
        ).result
        return None if result is None else labels[result.recording.recording_sid]


async def read_stored_calls(
    session: AsyncSession,
    call_filter: CallFilter,
    rules: FilterRules,
    plan: SamplingPlan,
    *,
    older_than: Cursor | None,
    limit: int,
) -> list[StoredCall]:
    """Read up to `limit` judged calls of the filter, newest first. `older_than`: begin after this call."""
    statement = (
        select(CallLog, stratum_of(plan.low), WEEK)
        .options(load_only(*_CALL_COLUMNS, raiseload=True))
        .where(CallLog.label.is_not(None), *conditions(call_filter, rules))
        .order_by(CallLog.created_at.desc(), CallLog.call_sid.desc())
        .limit(limit)
    )
    if older_than is not None:
        order = tuple_(CallLog.created_at, CallLog.call_sid)
        statement = statement.where(order < tuple_(older_than.created_at, older_than.call_sid))
    rows = (await session.execute(statement)).all()
    sids = [call.call_sid for call, *_ in rows]
    recordings = await _recordings(session, sids)
    verdicts = await _verdicts(session, [row.recording_sid for rows in recordings.values() for row in rows])
    answers = await _answers(session, plan, sids)
    stored: list[StoredCall] = []
    for call, stratum, week in rows:
        assert call.label is not None
        answer, is_sampled = answers.get(call.call_sid, (None, False))
        own = recordings[call.call_sid]
        found = {row.recording_sid: verdicts[row.recording_sid] for row in own if row.recording_sid in verdicts}
        stored.append(StoredCall(call, Label(call.label), Stratum(stratum), week, answer, is_sampled, own, found))
    return stored


async def _recordings(session: AsyncSession, call_sids: Sequence[str]) -> defaultdict[str, list[Recording]]:
    found: defaultdict[str, list[Recording]] = defaultdict(list)
    statement = select(Recording).where(Recording.call_sid == any_of(call_sids))
    for row in await session.scalars(statement.options(load_only(*_RECORDING_COLUMNS, raiseload=True))):
        found[row.call_sid].append(row)
    return found


async def _verdicts(session: AsyncSession, recording_sids: Sequence[str]) -> dict[str, Verdict]:
    """Return the latest verdict on each recording."""
    statement = (
        select(VerdictRow)
        .where(VerdictRow.recording_sid == any_of(recording_sids), VerdictRow.source.in_(VERDICT_SOURCES))
        .order_by(VerdictRow.id)
    )
    found: dict[str, Verdict] = {}
    undecided: defaultdict[str, list[VerdictRow]] = defaultdict(list)
    for row in await session.scalars(statement):
        undecided[row.recording_sid].append(row)
        if row.decided:
            found[row.recording_sid] = stored_verdict(undecided.pop(row.recording_sid))
    return found


async def _answers(
    session: AsyncSession, plan: SamplingPlan, call_sids: Sequence[str]
) -> dict[str, tuple[ReviewAnswer, bool]]:
    """Return the answer about each reviewed call, and whether it counts for error rates."""
    statement = (
        select(REVIEWED.c.call_sid, REVIEWED.c.answer, stands_for_its_group(plan))
        .join(CallLog, CallLog.call_sid == REVIEWED.c.call_sid)
        # On the column of the view: Postgres then reads only the reviews of these calls.
        .where(REVIEWED.c.call_sid == any_of(call_sids), CallLog.call_sid == any_of(call_sids))
    )
    rows = await session.execute(statement)
    return {call_sid: (ReviewAnswer(answer), bool(counts)) for call_sid, answer, counts in rows}
