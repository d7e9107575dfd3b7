"""`python -m benchmarks.pages`: measures the pages with 1 000 000 calls, and what open pages cost the callbacks.

Starts a private Postgres with fsync on, fills it by SQL, and runs one service without a model. Prints the tables of
docs/performance.md. Takes some minutes and about 2 GB of disk.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import perf_counter
from urllib.parse import urlencode

import httpx2
import psutil

from amd_service.database.connection import connect
from amd_service.database.embedded import embedded_postgres
from amd_service.database.schema import migrate
from amd_service.settings import Account
from amd_service.simulator.service_process import COMMAND, ServiceProcess, run_service
from amd_service.simulator.twilio.loopback_server import serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.resources import make_account
from amd_service.simulator.twilio.signed_callbacks import sign
from benchmarks.__main__ import describe_machine
from benchmarks.filling import FILL, sid
from benchmarks.load import percentile

# The newest calls have a recording, a model run and a callback.
DETAILED = 20_000
PAGES = 50
CALLERS = 10


@dataclass(slots=True)
class Intake:
    """Milliseconds of the callbacks that were sent with this number of open pages.

    `events`: rows that the pages received. `processor_s`: processor time of the service meanwhile.
    """

    pages: int
    milliseconds: list[float] = field(default_factory=list)
    events: int = 0
    processor_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A service and the account whose callbacks it accepts."""

    service: ServiceProcess
    account: Account


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100, help="requests per page")
    parser.add_argument("--rounds", type=int, default=6, help="rounds of callbacks with and without open pages")
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of a round")
    parser.add_argument("--per-second", type=float, default=20.0, help="callbacks per second")
    options = parser.parse_args()
    asyncio.run(measure(options))


async def measure(options: argparse.Namespace) -> None:
    """Fill the database, and print both tables."""
    machine = describe_machine()
    print(f"{machine['cores']} cores of {machine['processor']}, load {os.getloadavg()[0]:.1f}", flush=True)
    async with run_filled(options.calls) as bench:
        print("\n| request | p50, ms | p95, ms |\n|---|---|---|")
        for name, paths in requests_by_page(options.requests):
            found = await time_requests(bench, list(paths))
            print(f"| {name} | {percentile(found, 0.5):.0f} | {percentile(found, 0.95):.0f} |", flush=True)
        print(
            "\n| open pages | callbacks | p50, ms | p99, ms | events sent | processor, s |\n|---|---|---|---|---|---|"
        )
        for intake in await measure_intake(bench, options):
            found = intake.milliseconds
            figures = [f"{percentile(found, share):.1f}" for share in (0.5, 0.99)]
            figures += [str(intake.events), f"{intake.processor_s:.1f}"]
            print(f"| {intake.pages} | {len(found)} | {' | '.join(figures)} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


@asynccontextmanager
async def run_filled(calls: int) -> AsyncIterator[Bench]:
    """Run a service with a private Postgres that contains this number of calls."""
    account = make_account()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 - Postgres may run as another account
        async with (
            embedded_postgres(Path(folder) / "postgres") as url,
            serve_simulated_twilio(MediaHost({account.account_sid: account.basic_auth})) as simulated_twilio,
        ):
            await migrate(url)
            began = perf_counter()
            connection = await connect(url, statement_timeout_s=None)
            await connection.execute(FILL.format(calls=calls, detailed=min(calls, DETAILED)))
            await connection.execute("vacuum analyze")
            state = {name: await connection.fetchval(f"show {name}") for name in ("server_version", "fsync")}
            await connection.close()
            print(f"{calls} calls in {perf_counter() - began:.0f} s, Postgres {state}", flush=True)
            command = (*COMMAND, "serve", "--no-worker", "--no-model")
            async with run_service(
                command, database_url=url, simulated_twilio=simulated_twilio, account=account
            ) as service:
                await service.wait_until_alive()
                yield Bench(service, account)


def requests_by_page(count: int) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the name of each page, and the paths of its requests. No two requests have the same filter, if possible."""
    numbers = range(count)
    labels = ("human", "voicemail", "undecided")
    combined = (f"label={labels[n % 3]}&campaign=campaign-{n % 20}&last={1 + n % 29}d" for n in numbers)
    yield "list, newest calls", ("/calls" for _ in numbers)
    yield "list, filtered by label, campaign and date", (f"/calls?{query}" for query in combined)
    yield "list, filtered by number", (f"/calls?q=%2B1500{n:07}" for n in numbers)
    yield "one call", (f"/calls/CA{sid(n + 1)}" for n in numbers)
    yield "tiles, counted anew for 24 hours of one campaign", (f"/calls/tiles?campaign=campaign-{n}" for n in range(20))
    yield "tiles, counted anew for the newest 100 000 calls", (f"/calls/tiles?last={700 + n}h" for n in range(10))
    yield "tiles, counted in the last 10 s", ("/calls/tiles" for _ in numbers)
    yield "chart, counted in the last 10 s", ("/calls/over-time" for _ in numbers)


async def time_requests(bench: Bench, paths: list[str]) -> list[float]:
    """Return the milliseconds of each GET. The first five requests warm up the service and do not count."""
    found = []
    async with httpx2.AsyncClient(
        trust_env=False, base_url=bench.service.url, headers={"accept": "text/html"}, timeout=60, follow_redirects=True
    ) as client:
        for path in [*paths[:5], *paths]:
            began = perf_counter()
            response = await client.get(path)
            response.raise_for_status()
            found.append(1000 * (perf_counter() - began))
    return found[5:]


async def measure_intake(bench: Bench, options: argparse.Namespace) -> tuple[Intake, Intake]:
    """Send callbacks with and without open pages, in alternating rounds."""
    without, with_pages = Intake(0), Intake(PAGES)
    await send_callbacks(bench, Intake(0), seconds=2, per_second=options.per_second)
    for number in range(options.rounds):
        for intake in (without, with_pages) if number % 2 else (with_pages, without):
            async with opened_pages(bench, intake):
                before = processor_s(bench.service)
                await send_callbacks(bench, intake, seconds=options.seconds, per_second=options.per_second)
                intake.processor_s += processor_s(bench.service) - before
        medians = [f"{median(each.milliseconds[-100:]):.1f}" for each in (without, with_pages)]
        print(f"<!-- round {number + 1}: median without and with pages: {medians} -->", flush=True)
    return without, with_pages


def processor_s(service: ServiceProcess) -> float:
    """Return the processor time that a service has used. Other programs on the machine hardly change it."""
    used = psutil.Process(service.process.pid).cpu_times()
    return float(used.user + used.system)


@asynccontextmanager
async def opened_pages(bench: Bench, intake: Intake) -> AsyncIterator[None]:
    """Keep the pages of a round open in another process."""
    if not intake.pages:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.open_pages", bench.service.url, str(intake.pages),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    await process.stdout.readline()
    yield
    process.stdin.close()
    intake.events += int(await process.stdout.readline())
    await process.wait()


async def send_callbacks(bench: Bench, intake: Intake, *, seconds: float, per_second: float) -> None:
    """Send a callback of a new call at fixed times, whether or not the earlier ones have a response."""
    token = bench.account.auth_tokens[0].get_secret_value()
    url = f"{bench.service.url}/twilio/status"

    async def send(client: httpx2.AsyncClient, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        pairs = [
            ("AccountSid", bench.account.account_sid),
            ("CallSid", f"CA{token_hex(16)}"),
            ("CallStatus", "completed"),
            ("SequenceNumber", "3"),
            ("To", "+15005550010"),
        ]
        headers = sign(url, pairs, token)
        began = perf_counter()
        response = await client.post(url, content=urlencode(pairs), headers=headers)
        response.raise_for_status()
        intake.milliseconds.append(1000 * (perf_counter() - began))

    limits = httpx2.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    async with httpx2.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
        await asyncio.gather(*(send(client, n / per_second) for n in range(int(seconds * per_second))))


if __name__ == "__main__":
    main()
