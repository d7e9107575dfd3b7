"""`python -m benchmarks.growth`: times the service's own statements by the number of calls in the database.

Starts a private Postgres with fsync off, and fills a database for each size. Each round runs a statement once in every
database, so that other load on the machine affects all sizes equally. Every transaction is rolled back. Prints the
table of docs/performance.md. Linux only. Takes about ten minutes and 6 GB of disk.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import event, text

from amd_service.database.connection import connect
from amd_service.database.embedded import embedded_postgres
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from benchmarks.__main__ import describe_machine
from benchmarks.filling import fill
from benchmarks.own_statements import Own, own_statements

SIZES = (10_000, 100_000, 1_000_000)
WARM_UPS = 5


@dataclass(frozen=True, slots=True)
class Took:
    """`took_ms`: milliseconds until the result arrived. `used_ms`: milliseconds that Postgres ran on a core for it."""

    took_ms: float
    used_ms: float


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
        await print_table(databases, sizes, rounds, only)
    print(f"\nload {os.getloadavg()[0]:.1f}")


async def print_table(databases: Sequence[Database], sizes: Sequence[int], rounds: int, only: str) -> None:
    """Print the medians, and how the time of Postgres on a core grows: other load on the machine hardly changes it."""
    sized = " | ".join(f"{calls:,} calls, ms on a core" for calls in sizes)
    print(f"\n| statements | {sized} | growth | growth until the result |")
    print("|---" * (len(sizes) + 3) + "|")
    for name, own in own_statements().items():
        if only in name:
            found = await time_in_turn(databases, own, rounds)
            took = [median(one.took_ms for one in times) for times in found]
            used = [median(one.used_ms for one in times) for times in found]
            figures = " | ".join(f"{each:.2f}" for each in used)
            print(f"| {name} | {figures} | {used[-1] / used[0]:.2f} | {took[-1] / took[0]:.2f} |", flush=True)


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


async def time_in_turn(databases: Sequence[Database], own: Own, rounds: int) -> list[list[Took]]:
    """Return the times of each execution in each database."""
    found: list[list[Took]] = [[] for _ in databases]
    for number in range(WARM_UPS + rounds):
        for times, database in zip(found, databases, strict=True):
            took = await _time_once(database, own)
            if number >= WARM_UPS:
                times.append(took)
    return found


async def _time_once(database: Database, own: Own) -> Took:
    """Time the statements in Postgres and on the way to it, without the work of SQLAlchemy."""
    begun, took = Took(0.0, 0.0), Took(0.0, 0.0)

    def begin(*_: object) -> None:
        nonlocal begun
        begun = Took(1000 * perf_counter(), _used_ms(server))

    def end(*_: object) -> None:
        nonlocal took
        took_ms, used_ms = 1000 * perf_counter() - begun.took_ms, _used_ms(server) - begun.used_ms
        took = Took(took.took_ms + took_ms, took.used_ms + used_ms)

    async with database.transaction() as session:
        server: int = (await session.execute(text("select pg_backend_pid()"))).scalar_one()
        prepared = await own.prepare(session)
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", begin)
        event.listen(connection, "after_cursor_execute", end)
        await own.work(session, prepared)
        await session.flush()
        await session.rollback()
    return took


def _used_ms(process: int) -> float:
    """Return the milliseconds that a process has run on a core.

    https://docs.kernel.org/scheduler/sched-stats.html, section /proc/<pid>/schedstat.
    """
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6


if __name__ == "__main__":
    main()
