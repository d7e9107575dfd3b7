"""Requeues recordings that were given up without a verdict."""

from collections.abc import Sequence

from sqlalchemy import Boolean, ColumnElement, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.analysis import refresh_calls
from amd_service.calls.conclusion import WITHOUT_AUDIO
from amd_service.calls.tables import GIVEN_UP, Recording, RecordingState
from amd_service.domain import Failure


async def requeue_given_up(
    session: AsyncSession, *, failure: Failure | None = None, call_sid: str | None = None, after: str = "", limit: int
) -> Sequence[str]:
    """Requeue up to `limit` recordings that were given up, and return their SIDs.

    `failure`: requeue only recordings that were given up for this reason. `call_sid`: requeue only recordings of this
    call. `after`: start after this SID. Recordings that never had audio are not requeued.
    """
    batch = select(Recording.recording_sid).where(*_requeueable(failure))
    if call_sid is not None:
        batch = batch.where(Recording.call_sid == call_sid)
    # Ordered by SID, so that the scan always ends, even if workers give up recordings again that were just requeued.
    batch = batch.where(Recording.recording_sid > after).order_by(Recording.recording_sid).limit(limit)
    sids = (await session.scalars(batch.with_for_update(key_share=True))).all()
    statement = (
        update(Recording)
        .where(Recording.recording_sid.in_(sids))
        .values(
            state=RecordingState.QUEUED, failure=None, finished_at=None, attempts=0, available_at=func.now(),
            queued_at=func.now(),
        )
        .returning(Recording.call_sid)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    await refresh_calls(session, (await session.scalars(statement)).all())
    return sids


async def count_given_up(session: AsyncSession, failure: Failure | None) -> int:
    """Count the recordings that `requeue_given_up` would requeue in all its batches together."""
    statement = select(func.count()).select_from(Recording).where(*_requeueable(failure))
    return await session.scalar(statement) or 0


def _requeueable(failure: Failure | None) -> tuple[ColumnElement[bool], ...]:
    reasons = [reason for reason in Failure if reason not in WITHOUT_AUDIO and failure in (None, reason)]
    return (literal_column(GIVEN_UP, Boolean), Recording.failure.in_(reasons))
