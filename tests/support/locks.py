"""Locks that another session holds, like a forgotten psql or a process that was stopped in a transaction."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGCONT

from amd_service.database.connection import connect

# Updates the status of every call in a transaction with the service's own pool, then stops like a frozen process.
# Arguments: URL, seconds after which Postgres ends an idle transaction.
_STOPPED = """
import asyncio, os, signal, sys
from sqlalchemy import text
from amd_service.database.pool import Database, Timeouts
from amd_service.errors import DatabaseUnavailable

async def main():
    database = Database(sys.argv[1], timeouts=Timeouts(idle_s=float(sys.argv[2])))
    try:
        async with database.transaction() as session:
            await session.execute(text("update call_log set call_status = 'busy'"))
            print("locked", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
            await session.execute(text("select 1"))
    except DatabaseUnavailable as error:
        print(error, flush=True)
    await database.dispose()

asyncio.run(main())
"""


@asynccontextmanager
async def holding(url: str, statement: str) -> AsyncIterator[None]:
    """Hold the locks of `statement` until the context ends."""
    connection = await connect(url, statement_timeout_s=60)
    try:
        await connection.execute(f"begin; {statement}")
        yield
    finally:
        await connection.close()


@asynccontextmanager
async def stopped_in_a_transaction(url: str, *, idle_s: float) -> AsyncIterator[list[str]]:
    """A stopped process that has locked every call. At the end it goes on; its last line is then in the list."""
    command = (sys.executable, "-c", _STOPPED, url, str(idle_s))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    last: list[str] = []
    try:
        yield last
    finally:
        process.send_signal(SIGCONT)
        last.append((await process.stdout.read()).decode())
        await process.wait()
