"""Whether callbacks can be stored, and how long the queue is."""

from amd_service.calls import queue
from amd_service.database.pool import Database
from amd_service.database.schema import SchemaState
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)


async def database_fault(database: Database) -> str | None:
    """Why callbacks cannot be stored now; None where they can."""
    try:
        state = await database.schema_state()
    except DatabaseUnavailable as error:
        log.warning("not ready: database unavailable", error=str(error))
        return "the database is unavailable"
    if state in (SchemaState.CURRENT, SchemaState.NEWER):
        return None
    return f"schema is {state}: run `amd-service migrate`"


async def measure_queue(database: Database, metrics: Metrics) -> None:
    """Fill the queue's gauges. Without a database they keep their values, and the error is counted."""
    try:
        async with database.transaction() as session:
            depth = await queue.depth(session)
    except DatabaseUnavailable:
        metrics.loop_errors.labels("metrics").inc()
        return
    for state, count in depth.by_state.items():
        metrics.queue_depth.labels(state).set(count)
    metrics.queue_oldest_s.set(depth.oldest_due_s)
