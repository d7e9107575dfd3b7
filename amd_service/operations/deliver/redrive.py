"""Lists deliveries, and sends dead ones again."""

from collections.abc import Sequence

from amd_service.calls import deliveries
from amd_service.calls.tables import Delivery
from amd_service.database.pool import Database
from amd_service.domain import DeliveryState
from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Deliveries made due in one transaction.
BATCH = 500


async def list_deliveries(
    database: Database, *, call_sid: str | None, state: DeliveryState | None, limit: int
) -> Sequence[Delivery]:
    """Return up to `limit` deliveries, newest first. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        return await deliveries.list_deliveries(session, call_sid=call_sid, state=state, limit=limit)


async def unknown_ids(database: Database, ids: Sequence[int]) -> Sequence[int]:
    """Return the numbers that no delivery has. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        known = await deliveries.known_ids(session, ids)
    return [each for each in ids if each not in known]


async def redrive(database: Database, *, call_sid: str | None = None, delivery_ids: Sequence[int] | None = None) -> int:
    """Make the dead deliveries of a call, those with some numbers, or all of them due again. Returns their number.

    Raises DatabaseUnavailable.
    """
    total = 0
    while True:
        async with database.transaction() as session:
            count = await deliveries.redrive(session, call_sid=call_sid, delivery_ids=delivery_ids, limit=BATCH)
        total += count
        if count < BATCH:
            break
    log.info("dead deliveries queued again", count=total)
    return total
