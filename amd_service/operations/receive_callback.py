"""Store a verified callback of Twilio."""

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from amd_service.calls import intake
from amd_service.calls.known_values import unknown_values
from amd_service.calls.number_policy import NumberPolicy
from amd_service.database.pool import Database
from amd_service.domain import AmdCallback, RawCallback, RecordingCallback, StatusCallback
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

Event = StatusCallback | RecordingCallback | AmdCallback


async def receive_callback(
    raw: RawCallback, event: Event, *, database: Database, numbers: NumberPolicy, metrics: Metrics
) -> None:
    """Store a callback and count it. A duplicate changes no row. Raises DatabaseUnavailable.

    `raw`: the callback as Twilio sent it. `event`: the parsed callback.
    """
    sids = {"call_sid": event.call_sid, "recording_sid": getattr(event, "recording_sid", None)}
    with bound_contextvars(**{name: sid for name, sid in sids.items() if sid}):
        try:
            async with database.transaction() as session:
                is_new = await _store(session, raw, event, numbers)
        except DatabaseUnavailable as error:
            log.error("callback not stored", route=raw.route, error=str(error))
            raise
        log.info("callback stored" if is_new else "duplicate callback", route=raw.route)
    _count(raw.route, event, is_new, metrics)


async def _store(session: AsyncSession, raw: RawCallback, event: Event, numbers: NumberPolicy) -> bool:
    """Store the callback and update the row of its call or recording. Returns False for a duplicate."""
    match event:
        case StatusCallback():
            return await intake.store_status(session, raw, event, numbers)
        case RecordingCallback():
            return await intake.store_recording(session, raw, event, numbers)
        case AmdCallback():
            return await intake.store_amd(session, raw, event, numbers)


def _count(route: str, event: Event, is_new: bool, metrics: Metrics) -> None:
    if not is_new:
        metrics.callbacks.labels(route, "duplicate").inc()
        return
    metrics.callbacks.labels(route, "stored" if event.call_sid else "stored_without_call").inc()
    for parameter in unknown_values(event):
        metrics.unknown_values.labels(parameter).inc()
