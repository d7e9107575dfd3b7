"""A call with its recordings and verdicts, for the API and the pages."""

from typing import Any

from amd_service.calls import lookup
from amd_service.database.pool import Database
from amd_service.domain import CallSid


async def read_call(database: Database, call_sid: CallSid) -> dict[str, Any] | None:
    """The call as `calls.lookup.read_call` returns it; None for an unknown call. Raises DatabaseUnavailable."""
    async with database.transaction() as session:
        return await lookup.read_call(session, call_sid)
