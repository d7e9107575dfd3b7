"""Asks for another opinion about calls whose label is probably wrong."""

from collections.abc import Sequence

from amd_service.calls import reviews
from amd_service.database.pool import Database
from amd_service.domain import CallSid

# Calls per transaction, so that each transaction is short.
BATCH = 200


async def request_recheck(database: Database, call_sids: Sequence[CallSid]) -> int:
    """Put calls into the queue `recheck`, and return how many were not in it before. Raises DatabaseUnavailable.

    Unknown calls are ignored. A call that was in the queue before does not come back.
    """
    added = 0
    for start in range(0, len(call_sids), BATCH):
        async with database.transaction() as session:
            added += await reviews.add_rechecks(session, call_sids[start : start + BATCH])
    return added
