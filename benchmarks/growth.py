"""`python -m benchmarks.growth`: times the service's own statements by the number of calls in the database.

Starts a private Postgres with fsync off, and fills a database for each size. Each round runs a statement once in every
database, so that other load on the machine affects all sizes equally. Every transaction is rolled back. Prints the
table of docs/performance.md. Takes about ten minutes and 6 GB of disk.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import event

from amd_service.database.connection import connect
from amd_service.database.embedded import embedded_postgres
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from benchmarks.__main__ import describe_machine
from benchmarks.filling import fill
from benchmarks.own_statements import Own, own_statements

SIZES = (10_000, 100_000, 1_000_000)
WARM_UPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of calls, the smallest first")
    parser.add_argument("--rounds", type=int, default=30, help="executions of each statement, after five to warm up")
    parser.add_argument("--only", default="", metavar="WORDS", help="only the statements whose names contain WORDS")
    options = parser.parse_args()
    asyncio.run(measure(options.sizes, options.rounds, options.only))


async def measure(sizes: Sequence[int], rounds: int, only: str) -> None:
    """Print a line of the table for each statement."""
    machine = describe_machine()
    print(f"{machine['cores']} cores of {machine['processor']}, load {os.getloadavg()[0]:.1f}", flush=True)
    async with embedded_postgres(None) as server, AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(_filled(server, calls)) for calls in sizes]
        print("\n| statements | " + " | ".join(f"{calls:,} calls, ms" for calls in sizes) + " | growth |")
        print("|---" * (len(sizes) + 2) + "|")
        for name, own in own_statements().items():
            if only in name:
                medians = await time_in_turn(databases, own, rounds)
                figures = " | ".join(f"{each:.2f}" for each in medians)
                print(f"| {name} | {figures} | {medians[-1] / medians[0]:.2f} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


@asynccontextmanager
async def _filled(server: str, calls: int) -> AsyncIterator[Database]:
    """Create a database with this number of calls."""
    name, began = f"calls_{calls}", perf_counter()
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    connection = await connect(server, statement_timeout_s=None)
    await connection.execute(f"create database {name}")
    await connection.close()
    await migrate(url)
    connection = await connect(url, statement_timeout_s=None)
    await fill(connection, calls)
    state = {name: await connection.fetchval(f"show {name}") for name in ("server_version", "fsync")}
    await connection.close()
    print(f"{calls} calls in {perf_counter() - began:.0f} s, Postgres {state}", flush=True)
    database = Database(url)
    yield database
    await database.dispose()


async def time_in_turn(databases: Sequence[Database], own: Own, rounds: int) -> list[float]:
    """Return the median milliseconds in each database."""
    found: list[list[float]] = [[] for _ in databases]
    for number in range(WARM_UPS + rounds):
        for times, database in zip(found, databases, strict=True):
            took_ms = await _time_once(database, own)
            if number >= WARM_UPS:
                times.append(took_ms)
    return [median(times) for times in found]


async def _time_once(database: Database, own: Own) -> float:
    """Return the milliseconds that the statements took in Postgres and on the way, without the work of SQLAlchemy."""
    spent_s: list[float] = []

    def begin(connection: Any, *_: object) -> None:
        connection.info["began"] = perf_counter()

    def end(connection: Any, *_: object) -> None:
        spent_s.append(perf_counter() - connection.info["began"])

    async with database.transaction() as session:
        prepared = await own.prepare(session)
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", begin)
        event.listen(connection, "after_cursor_execute", end)
        await own.work(session, prepared)
        await session.flush()
        await session.rollback()
    return 1000 * sum(spent_s)


if __name__ == "__main__":
    main()
