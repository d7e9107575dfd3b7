"""Gives up the events for URLs that were removed from AMD_DELIVERY_URL."""

from collections.abc import Sequence

from amd_service.calls import deliveries
from amd_service.database.pool import Database
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# Seconds between two runs.
LOOK_EVERY_S = 3600.0
# Deliveries given up in one transaction.
BATCH = 500


async def give_up_unclaimed(database: Database, urls: Sequence[str], metrics: Metrics) -> int:
    """Give up the events that no worker has claimed for three days. Returns their number.

    `urls`: AMD_DELIVERY_URL of this process. Raises DatabaseUnavailable.
    """
    total = 0
    while True:
        async with database.transaction() as session:
            count = await deliveries.give_up_unclaimed(session, urls=urls, limit=BATCH)
        total += count
        metrics.deliveries.labels("dead").inc(count)
        # The next event of a call can be given up after the one before it, so the last batch is empty.
        if not count:
            break
    if total:
        log.error("events given up", reason="AMD_DELIVERY_URL does not contain their URL", count=total)
    return total
