"""Requeues recordings that were given up."""

from amd_service.calls import queue
from amd_service.database.pool import Database
from amd_service.domain import Failure

# Recordings requeued per transaction. A batch takes about 0.1 s and can delay a callback for one of these recordings by
# that time.
REQUEUE_BATCH = 50


async def requeue_recordings(database: Database, failure: Failure | None, *, batch: int = REQUEUE_BATCH) -> int:
    """Requeue recordings that ended without a verdict. Returns the number of recordings.

    `failure`: requeue only recordings with this reason. After an error or Ctrl-C, finished batches stay requeued.
    """
    total, after = 0, ""
    while True:
        async with database.transaction() as session:
            requeued = await queue.requeue(session, failure=failure, after=after, limit=batch)
        if not requeued:
            return total
        total, after = total + len(requeued), requeued[-1]
