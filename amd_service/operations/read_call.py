"""Read a call with its recordings and verdicts."""

from typing import Any

from amd_service.calls import lookup
from amd_service.database.pool import Database
from amd_service.domain import CallSid


async def read_call(database: Database, call_sid: CallSid) -> dict[str, Any] | None:
    """Read a call with `calls.lookup.read_call`. Returns None for an unknown call. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        return await lookup.read_call(session, call_sid)
