"""Health of the database, and metrics of the inbox and the queues."""

from amd_service.calls import inbox, queue_length
from amd_service.database.pool import Database
from amd_service.errors import DatabaseMisconfigured, DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)


async def database_fault(database: Database, *, is_logged: bool = True) -> str | None:
    """Return the reason why callbacks cannot be stored now; None when they can be stored."""
    try:
        condition = await database.condition()
    except DatabaseMisconfigured as error:
        if is_logged:
            log.error("readiness check failed: database misconfigured", error=str(error))
        return error.reason
    except DatabaseUnavailable as error:
        if is_logged:
            log.warning("readiness check failed: database unavailable", error=str(error))
        return "the database is unavailable"
    return condition.callback_fault()


async def measure_queue(database: Database, metrics: Metrics) -> None:
    """Set the gauges of the inbox, and of the queues of recordings and deliveries.

    While the database is unavailable, the gauges keep their last values and `amd_loop_errors_total` counts the error.
    """
    # The inbox first: while a lock on `recording` blocks the next statement, callbacks wait in the inbox.
    for gauge, age, measure in (
        (metrics.inbox_callbacks, metrics.inbox_oldest_s, inbox.depth),
        (metrics.queue_depth, metrics.queue_oldest_s, queue_length.depth),
        (metrics.delivery_depth, metrics.delivery_oldest_s, queue_length.delivery_depth),
    ):
        try:
            async with database.reading() as session:
                depth = await measure(session)
        except DatabaseUnavailable:
            metrics.loop_errors.labels("metrics").inc()
            return
        for state, count in depth.by_state.items():
            gauge.labels(state).set(count)
        age.set(depth.oldest_s)
