"""Judged calls with a recording that can be heard, and their reviews."""

from typing import Any

from sqlalchemy import select

from amd_service.calls.tables import CallLog, Recording, Review
from amd_service.database.pool import Database
from amd_service.domain import Label
from tests.support.call_rows import call, store
from tests.support.sids import ACCOUNT


def heard_call(number: int, label: Label = Label.HUMAN, *, recorded: bool = True, **fields: Any) -> list[Any]:
    """A judged call and its recording. `fields`: columns of the call."""
    row: CallLog = call(number, label=label, recording_sid=f"RE{number:032x}", **fields)
    if not recorded:
        return [row]
    recording = Recording(
        recording_sid=f"RE{number:032x}",
        call_sid=row.call_sid,
        account_sid=ACCOUNT,
        source="OutboundAPI",
        recording_status="completed",
        state="done",
        channels=1,
    )
    return [row, recording]


async def store_calls(database: Database, *calls: list[Any]) -> None:
    await store(database, *(row for rows in calls for row in rows))


async def stored_reviews(database: Database) -> list[Review]:
    """All reviews, oldest first."""
    async with database.transaction() as session:
        return list(await session.scalars(select(Review).order_by(Review.id)))
