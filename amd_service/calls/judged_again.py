"""Requeues recordings that have a verdict, to judge past calls again.

The new verdict is a new row in the table `verdict`. Until it is written, and also if the second attempt fails, the call
keeps its first verdict.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, Select, Text, cast, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import MEDIA_STREAM, CallLog, Recording, RecordingState


@dataclass(frozen=True, slots=True)
class Period:
    """Calls that began at or after `since` and before `until`, by `created_at`, like those of `CallFilter`.

    `campaign`: only calls of this campaign.
    """

    since: datetime
    until: datetime
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """Result of one batch of judged calls.

    `last`: `created_at` and SID of the last call, None after the end of the period. `requeued`: number of requeued
    recordings. `deleted`: recordings that were deleted at Twilio. `streams`: live streams, whose audio is not stored.
    `failed_before`: number of requeued recordings whose latest attempt failed after an earlier verdict, by reason.
    """

    last: tuple[datetime, str] | None
    calls: int = 0
    requeued: int = 0
    deleted: int = 0
    streams: int = 0
    failed_before: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pace:
    """When requeued recordings become due: the first one after `first_s` seconds, and then one every `step_s`."""

    first_s: float = 0.0
    step_s: float = 0.0

    def after(self, count: int) -> "Pace":
        """Return the pace of the recordings that follow `count` recordings."""
        return Pace(self.first_s + count * self.step_s, self.step_s)


AT_ONCE = Pace()


async def requeue_judged(
    session: AsyncSession,
    period: Period,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
    dry_run: bool,
    pace: Pace = AT_ONCE,
) -> JudgedBatch:
    """Requeue the recordings of up to `limit` judged calls of a period.

    `after`: start after this `created_at` and SID. `dry_run`: count, but change nothing. The calls keep their rows,
    because their verdicts do not change yet.
    """
    calls = (await session.execute(_judged_calls(period, after).limit(limit))).all()
    if not calls:
        return JudgedBatch(None)
    batch = await requeue_calls(session, [call_sid for _, call_sid in calls], dry_run=dry_run, pace=pace)
    return replace(batch, last=(calls[-1][0], calls[-1][1]))


async def requeue_calls(
    session: AsyncSession, call_sids: Sequence[str], *, dry_run: bool = False, pace: Pace = AT_ONCE
) -> JudgedBatch:
    """Requeue the judged recordings of these calls. `dry_run`: count, but change nothing."""
    recordings = select(Recording).where(Recording.call_sid.in_(call_sids), Recording.state == RecordingState.DONE)
    if not dry_run:
        # Ordered, because two transactions that lock several recordings in different orders can deadlock.
        recordings = recordings.order_by(Recording.recording_sid).with_for_update(key_share=True)
    rows = (await session.scalars(recordings.execution_options(populate_existing=True))).all()
    stored = [row for row in rows if row.source != MEDIA_STREAM]
    wanted = [row for row in stored if row.erased_at is None]
    if not dry_run:
        await _enqueue(session, [row.recording_sid for row in wanted], pace)
    return JudgedBatch(
        last=None,
        calls=len({row.call_sid for row in wanted}),
        requeued=len(wanted),
        deleted=len(stored) - len(wanted),
        streams=len(rows) - len(stored),
        failed_before=Counter(row.last_failure for row in wanted if row.last_failure),
    )


def _judged_calls(period: Period, after: tuple[datetime, str] | None) -> Select[datetime, str]:
    key = (CallLog.created_at, CallLog.call_sid)
    statement = (
        select(*key)
        .where(CallLog.label.is_not(None))
        .where(CallLog.created_at >= period.since, CallLog.created_at < period.until)
        .order_by(*key)
    )
    if period.campaign is not None:
        statement = statement.where(CallLog.campaign == period.campaign)
    return statement if after is None else statement.where(tuple_(*key) > tuple_(*after))


async def _enqueue(session: AsyncSession, sids: Sequence[str], pace: Pace) -> None:
    # `finished_at` stays: it says that the recording has a verdict, so workers claim it after all new recordings.
    position = func.array_position(cast(list(sids), ARRAY(Text)), Recording.recording_sid) - 1
    due_at = func.now() + timedelta(seconds=1) * (pace.first_s + pace.step_s * position)
    statement = (
        update(Recording)
        .where(Recording.recording_sid.in_(sids))
        .values(
            state=RecordingState.QUEUED, attempts=0, available_at=due_at, last_error=None, last_failure=None,
            # The pace is no delay: it counts neither for `verdict_ms` nor for the time that an outage may last.
            queued_at=due_at,
        )
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    await session.execute(statement)


async def read_judged(
    session: AsyncSession, period: Period, *, after: tuple[datetime, str] | None, limit: int
) -> tuple[list[Recording], tuple[datetime, str] | None]:
    """Read the judged recordings of up to `limit` judged calls of a period, without live streams.

    Returns also `created_at` and the SID of the last call, None after the end of the period.
    """
    calls = (await session.execute(_judged_calls(period, after).limit(limit))).all()
    recordings = (
        select(Recording)
        .where(
            Recording.call_sid.in_([call_sid for _, call_sid in calls]),
            Recording.state == RecordingState.DONE,
            Recording.source.is_distinct_from(MEDIA_STREAM),
        )
        .order_by(Recording.recording_sid)
    )
    return list(await session.scalars(recordings)), (calls[-1][0], calls[-1][1]) if calls else None
