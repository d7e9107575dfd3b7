"""Reads reviewed calls and recorded calls in batches, for datasets."""

from collections.abc import Sequence

from amd_service.calls import labelled_recordings
from amd_service.calls.labelled_recordings import LatestAnswer, RecordedCall
from amd_service.database.pool import Database
from amd_service.domain import CallSid

# Calls per transaction, so that each transaction is short.
BATCH = 500


async def read_answers(database: Database, *, batch: int = BATCH) -> list[LatestAnswer]:
    """Return the latest answer of every reviewer about every call. Raises DatabaseUnavailable."""
    found: list[LatestAnswer] = []
    while True:
        async with database.reading() as session:
            answers = await labelled_recordings.latest_answers(
                session, after=found[-1].call_sid if found else "", limit=batch
            )
        if not answers:
            return found
        found += answers


async def read_recorded_calls(
    database: Database, call_sids: Sequence[CallSid], *, batch: int = BATCH
) -> list[RecordedCall]:
    """Return the calls that have a recording, without those that are unknown. Raises DatabaseUnavailable."""
    found: list[RecordedCall] = []
    sids = sorted(call_sids)
    for start in range(0, len(sids), batch):
        async with database.reading() as session:
            found += await labelled_recordings.find_recorded_calls(session, sids[start : start + batch])
    return found
