"""Watches calls in the database without polling: Postgres notifies this process when a change is committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from amd_service.database.connection import connect

_CHANNEL = "benchmark_call_changes"
# A notification costs the transaction some microseconds, so the trigger exists only while somebody watches.
_WATCH = f"""
    create function benchmark_call_changes() returns trigger language plpgsql as $$
    begin
        perform pg_notify('{_CHANNEL}', new.call_sid || ' ' || new.analysis_state);
        return null;
    end $$;
    create trigger benchmark_call_changes after insert or update on call_log
        for each row execute function benchmark_call_changes()
"""
_UNWATCH = "drop trigger benchmark_call_changes on call_log; drop function benchmark_call_changes"


class CallChanges:
    """The committed changes of calls, with the times at which they became visible."""

    def __init__(self) -> None:
        self._changes: asyncio.Queue[tuple[float, str, str]] = asyncio.Queue()

    def on_notify(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        """Keep a change. A listener of asyncpg."""
        call_sid, state = payload.split(" ")
        self._changes.put_nowait((perf_counter(), call_sid, state))

    async def until(self, call_sid: str, *states: str) -> float:
        """Wait until a call is in one of these states of its analysis. Returns the time, as of `perf_counter`.

        Without `states`, waits for any change. Changes of other calls are dropped, so watch one call at a time. Raises
        TimeoutError after two minutes.
        """
        async with asyncio.timeout(120):
            while True:
                at, sid, state = await self._changes.get()
                if sid == call_sid and (not states or state in states):
                    return at


@asynccontextmanager
async def watch_calls(database_url: str) -> AsyncIterator[CallChanges]:
    """Watch the calls of a database until the context ends. The role must own the table."""
    changes = CallChanges()
    connection = await connect(database_url, statement_timeout_s=30)
    try:
        await connection.execute(_WATCH)
        try:
            await connection.add_listener(_CHANNEL, changes.on_notify)
            yield changes
        finally:
            await connection.execute(_UNWATCH)
    finally:
        await connection.close()
