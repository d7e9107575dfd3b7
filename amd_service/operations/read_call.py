"""Read a call with its recordings and verdicts."""

from typing import Any

from amd_service.calls import lookup, whole_call
from amd_service.calls.whole_call import WholeCall
from amd_service.database.pool import Database
from amd_service.domain import CallSid


async def read_call(database: Database, call_sid: CallSid) -> dict[str, Any] | None:
    """Read a call with `calls.lookup.read_call`. Returns None for an unknown call. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        return await lookup.read_call(session, call_sid)


async def read_whole_call(database: Database, call_sid: CallSid) -> WholeCall | None:
    """Read everything that is stored about a call. Returns None for an unknown call. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        return await whole_call.read_whole_call(session, call_sid)
