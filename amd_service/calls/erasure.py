"""Queries for the deletion of Twilio's copies of recordings."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import Callback, CallRequestRow, Recording
from amd_service.calls.tables.recording import TO_ERASE
from amd_service.domain import REST_ROUTE, AccountSid, RecordingSid

# Limits of the delay until a failed deletion is retried. The delay equals the time since the recording was finished. A
# short outage therefore delays a deletion by minutes, and a deletion that Twilio always refuses is retried once a day.
_SHORTEST_DELAY = timedelta(minutes=5)
_LONGEST_DELAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Erasable:
    """A recording whose copy at Twilio is no longer needed."""

    recording_sid: RecordingSid
    account_sid: AccountSid


@dataclass(frozen=True, slots=True)
class ClaimedErasures:
    """Recordings that one claim found. `erasable`: copies to delete. `examined`: number of recordings that were due."""

    erasable: list[Erasable]
    examined: int


def _same_call(row: type[Callback | CallRequestRow]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # The account SIDs must match too, not only the call SIDs: a callback that is signed with another account's token
    # must not delete a recording.
    return row.call_sid == Recording.call_sid, row.account_sid == Recording.account_sid


# SQL: a signed callback named the recording's call, or this service placed the call.
_IS_OURS = or_(
    exists().where(Callback.route != REST_ROUTE, *_same_call(Callback)).correlate(Recording),
    exists().where(*_same_call(CallRequestRow)).correlate(Recording),
)


async def claim_erasable(session: AsyncSession, accounts: Collection[AccountSid], limit: int) -> ClaimedErasures:
    """Claim up to `limit` due recordings of `accounts` that have a verdict, oldest first, and postpone their next try.

    Recordings without a verdict are skipped, because they may still be judged, or judged again. A recording is never
    erasable if only Twilio's API reported its call: another application of the account may need the recording.
    """
    # SKIP LOCKED: two workers claim different rows. The condition repeats the condition of the partial index word for
    # word, because Postgres then uses the index.
    due = (
        select(Recording.recording_sid)
        .where(text(TO_ERASE), Recording.erase_after <= func.now(), Recording.account_sid.in_(accounts))
        .order_by(Recording.erase_after)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    claimed = (await session.scalars(due)).all()
    waited = func.now() - Recording.finished_at
    # Recordings of other applications are postponed too. Otherwise every later claim would return only these
    # recordings.
    statement = (
        update(Recording)
        .where(Recording.recording_sid.in_(claimed))
        .values(erase_after=func.now() + func.greatest(_SHORTEST_DELAY, func.least(waited, _LONGEST_DELAY)))
        .returning(Recording.recording_sid, Recording.account_sid, _IS_OURS)
        .execution_options(synchronize_session=False)
    )
    rows = (await session.execute(statement)).all() if claimed else []
    ours = [Erasable(RecordingSid(sid), AccountSid(account_sid)) for sid, account_sid, is_ours in rows if is_ours]
    return ClaimedErasures(ours, len(rows))


async def mark_erased(session: AsyncSession, recording_sid: RecordingSid) -> None:
    """Record that Twilio no longer has a copy."""
    statement = update(Recording).where(Recording.recording_sid == recording_sid).values(erased_at=func.now())
    await session.execute(statement.execution_options(synchronize_session=False))


async def count_erasable(session: AsyncSession) -> int:
    """Count the judged recordings that Twilio may still store, including recordings of other applications."""
    return await session.scalar(select(func.count()).select_from(Recording).where(text(TO_ERASE))) or 0
