"""Opens the database for the command `deliveries`."""

from collections.abc import Sequence

from amd_service.cli.access_commands import print_rows
from amd_service.database.opening import open_database
from amd_service.domain import DeliveryState, event_id
from amd_service.errors import ConfigurationError
from amd_service.operations.deliver import redrive
from amd_service.settings import Settings

# Error of an unfinished delivery that no worker with these settings claims.
REMOVED = "AMD_DELIVERY_URL does not contain this URL"


async def print_deliveries(
    settings: Settings, call_sid: str | None, state: str | None, limit: int, *, as_json: bool
) -> None:
    """Print one line per delivery."""
    chosen = None if state is None else DeliveryState(state)
    async with open_database(settings) as database:
        found = await redrive.list_deliveries(database, call_sid=call_sid, state=chosen, limit=limit)
    rows = [
        {
            "id": each.id,
            "event": event_id(each.call_sid, each.sequence),
            "type": each.type,
            "state": each.state,
            "attempts": each.attempts,
            "written": each.created_at,
            "next_try": each.available_at if each.state == DeliveryState.QUEUED else None,
            "url": each.url,
            "error": REMOVED
            if each.finished_at is None and each.url not in settings.delivery_url
            else each.last_error or "",
        }
        for each in found
    ]
    if call_sid is None and state is None:
        empty = "no deliveries: AMD_DELIVERY_URL sets the URLs of your backends"
    else:
        empty = "no such deliveries: without --state and --call, the command lists all"
    print_rows(rows, as_json=as_json, empty=empty)


async def redrive_deliveries(settings: Settings, call_sid: str | None, delivery_ids: Sequence[int] | None) -> int:
    """Make dead deliveries due again, and return their number.

    Raises ConfigurationError for a call without deliveries, or numbers of no delivery.
    """
    async with open_database(settings) as database:
        cure = "`amd-service deliveries list` shows the deliveries"
        if call_sid and not await redrive.list_deliveries(database, call_sid=call_sid, state=None, limit=1):
            raise ConfigurationError(f"the call {call_sid} has no delivery: {cure}")
        if unknown := await redrive.unknown_ids(database, delivery_ids or ()):
            raise ConfigurationError(f"no delivery has the number {', '.join(map(str, unknown))}: {cure}")
        return await redrive.redrive(database, call_sid=call_sid, delivery_ids=delivery_ids)
