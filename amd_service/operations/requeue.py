"""Requeues recordings: those that were given up, and those of past calls that are to be judged again."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from amd_service.calls import given_up, judged_again
from amd_service.calls.judged_again import AT_ONCE, JudgedBatch, Pace, Period
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Failure

# Recordings, or judged calls, per transaction. A batch takes about 0.1 s and can delay a callback for one of these
# recordings by that time.
REQUEUE_BATCH = 50


@dataclass(frozen=True, slots=True)
class RequeueReport:
    """Number of recordings that were requeued, or would be requeued in a dry run.

    `requeued`: recordings of `calls` calls. `deleted`: recordings that were skipped, because they were deleted at
    Twilio. `streams`: live streams that were skipped, because their audio is not stored. `failed_before`: requeued
    recordings that could not be judged again the last time, by reason.
    """

    requeued: int
    calls: int
    deleted: int
    streams: int
    failed_before: Mapping[str, int]


async def requeue_recordings(database: Database, failure: Failure | None, *, batch: int = REQUEUE_BATCH) -> int:
    """Requeue recordings that ended without a verdict. Returns the number of recordings.

    `failure`: requeue only recordings with this reason. After an error or Ctrl-C, finished batches stay requeued.
    """
    total, after = 0, ""
    while True:
        async with database.transaction() as session:
            requeued = await given_up.requeue_given_up(session, failure=failure, after=after, limit=batch)
        if not requeued:
            return total
        total, after = total + len(requeued), requeued[-1]


async def count_recordings(database: Database, failure: Failure | None) -> int:
    """Count the recordings that `requeue_recordings` would requeue."""
    async with database.transaction() as session:
        return await given_up.count_given_up(session, failure)


async def requeue_judged(
    database: Database,
    period: Period,
    *,
    dry_run: bool,
    limit: int | None = None,
    per_minute: int | None = None,
    batch: int = REQUEUE_BATCH,
) -> RequeueReport:
    """Requeue the recordings of the judged calls of a period. A dry run only counts them.

    Workers write the new verdicts. No action follows a new verdict. `limit`: maximum number of calls whose recordings
    are requeued. `per_minute`: recordings that become due in one minute; by default, all are due at once. After an
    error or Ctrl-C, finished batches stay requeued.
    """
    batches: list[JudgedBatch] = []
    after: tuple[datetime, str] | None = None
    pace = AT_ONCE if per_minute is None else Pace(step_s=60 / per_minute)
    while True:
        total = _total(batches)
        size = batch if limit is None else min(batch, limit - total.calls)
        if size <= 0:
            return total
        async with database.transaction() as session:
            done = await judged_again.requeue_judged(
                session, period, after=after, limit=size, dry_run=dry_run, pace=pace.after(total.requeued)
            )
        if done.last is None:
            return total
        batches.append(done)
        after = done.last


@dataclass(frozen=True, slots=True)
class CallRequeued:
    """Result for one call.

    `requeued`: number of recordings that a worker will judge again. `deleted`: recordings that were skipped, because
    they were deleted at Twilio. `streams`: live streams that were skipped, because their audio is not stored.
    """

    requeued: int
    deleted: int
    streams: int

    @property
    def refusal(self) -> str | None:
        """Why no recording was requeued. None if a recording was requeued."""
        if self.requeued:
            return None
        if self.deleted:
            return "the recording was deleted at Twilio"
        if self.streams:
            return "the audio of the live stream is not stored, and there is no recording"
        return "the call has no finished recording"


async def requeue_call(database: Database, call_sid: CallSid) -> CallRequeued:
    """Requeue the recordings of one call, whether they have a verdict or were given up. Raises DatabaseUnavailable.

    A present verdict stays until a worker has written a new one, and it stays in the table `verdict` after that. No
    action follows a new verdict of a judged call.
    """
    async with database.transaction() as session:
        # In this order, because `requeue_given_up` locks the row of the call, and recordings must be locked before it.
        judged = await judged_again.requeue_calls(session, [call_sid])
        failed = await given_up.requeue_given_up(session, call_sid=call_sid, limit=REQUEUE_BATCH)
    return CallRequeued(len(failed) + judged.requeued, judged.deleted, judged.streams)


def _total(batches: list[JudgedBatch]) -> RequeueReport:
    return RequeueReport(
        requeued=sum(each.requeued for each in batches),
        calls=sum(each.calls for each in batches),
        deleted=sum(each.deleted for each in batches),
        streams=sum(each.streams for each in batches),
        failed_before=sum((Counter(each.failed_before) for each in batches), Counter()),
    )
