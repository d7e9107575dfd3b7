"""Measures callbacks: rate and latency of the webhooks, and the time until the row of the call shows a callback.

`python -m benchmarks.intake MODEL` measures this alone, with the classifier idle and saturated. The database does not
wait for the disk (fsync off).
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

from amd_service.database.connection import connect
from amd_service.simulator.service_process import ServiceProcess
from amd_service.simulator.twilio.signed_callbacks import sign
from benchmarks.call_changes import watch_calls
from benchmarks.load import percentile, upload
from benchmarks.services import Bench, open_bench

RATES = (100, 300, 600, 1000)
SECONDS = 8.0
# While `call_log` is locked for this time, callbacks come at LOCKED_RATE per second.
LOCK_S = 30.0
LOCKED_RATE = 20
CONNECTIONS = 32
CALLERS = 3
# The callbacks of one call, in order.
STATUSES = ("initiated", "ringing", "in-progress", "completed")
IDLE_CALLS = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one callback. `ms`: from the time when the callback was due, so a stall counts for each."""

    status: int
    ms: float


async def measure_intake(
    bench: Bench, model: str, settings: dict[str, object], *, rates: Sequence[int] = RATES
) -> dict[str, Any]:
    """Measure one process at each rate, with the classifier idle and with the classifier saturated.

    `one_at_a_time`: milliseconds until the response, and from the response until the row of the call is visible.
    `locked`: callbacks while another session holds an exclusive lock on `call_log`.
    """
    rows = []
    async with bench.run_service("serve", model=model, **settings) as service:
        await service.wait_until_ready()
        one_at_a_time = await _measure_visibility(bench, service)
        locked = await _measure_locked(bench, service)
        for is_saturated in (False, True):
            async with _saturated(service, CALLERS if is_saturated else 0):
                for rate in rates:
                    row = await _offer(bench, service, _callbacks(round(rate * SECONDS)), rate)
                    folded_s = await _until_folded(bench.database_url)
                    rows.append({"saturated": is_saturated, "rate": rate} | row | {"folded_after_s": folded_s})
    return {"one_at_a_time": one_at_a_time, "locked": locked, "rates": rows}


async def _measure_locked(bench: Bench, service: ServiceProcess) -> dict[str, Any]:
    """Measure callbacks while `call_log` is locked, and then count the calls whose row is not right."""
    callbacks = _callbacks(round(LOCK_S * LOCKED_RATE))
    sids = list({sid for sid, _ in callbacks})
    ended = "select count(*) from call_log where call_sid = any($1) and call_status = $2"
    connection = await connect(bench.database_url, statement_timeout_s=30)
    try:
        async with connection.transaction():
            await connection.execute("lock table call_log in access exclusive mode")
            row = await _offer(bench, service, callbacks, LOCKED_RATE)
        folded_s = await _until_folded(bench.database_url)
        right_rows = await connection.fetchval(ended, sids, STATUSES[-1])
    finally:
        await connection.close()
    return row | {"folded_after_s": folded_s, "wrong_rows": len(sids) - right_rows}


def _callbacks(count: int) -> list[tuple[str, int]]:
    """Return pairs of CallSid and position in STATUSES. The callbacks of 50 calls are mixed."""
    sids = [f"CA{token_hex(16)}" for _ in range(count // len(STATUSES) + 1)]
    blocks = [sids[start : start + 50] for start in range(0, len(sids), 50)]
    return [(sid, position) for block in blocks for position in range(len(STATUSES)) for sid in block][:count]


def _request(bench: Bench, service: ServiceProcess, sid: str, position: int) -> bytes:
    """Return a signed callback as bytes, so that the load generator spends no time on signatures."""
    form = [
        ("AccountSid", bench.account.account_sid),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", sid),
        ("CallStatus", STATUSES[position]),
        ("CallbackSource", "call-progress-events"),
        ("Direction", "outbound-api"),
        ("From", "+15005550006"),
        ("To", "+15005550010"),
        ("SequenceNumber", str(position)),
        ("Timestamp", "Sat, 28 Nov 2026 10:00:00 +0000"),
    ]
    body = urlencode(form).encode()
    token = bench.account.auth_tokens[0].get_secret_value()
    headers = dict(sign(f"{service.url}/twilio/status", form, token)) | {
        "host": urlsplit(service.url).netloc,
        "content-length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /twilio/status HTTP/1.1\r\n{head}\r\n".encode() + body


async def _offer(
    bench: Bench, service: ServiceProcess, callbacks: Sequence[tuple[str, int]], rate: int
) -> dict[str, Any]:
    """Send callbacks at a constant rate, whether or not the earlier ones were answered."""
    requests = [_request(bench, service, *one) for one in callbacks]
    address = urlsplit(service.url)
    queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    workers = [asyncio.create_task(_send(str(address.hostname), address.port or 80, queue)) for _ in range(CONNECTIONS)]
    before = await _stored(bench.database_url)
    started = perf_counter()
    for number, request in enumerate(requests):
        due = started + number / rate
        if (wait_s := due - perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        queue.put_nowait((due, request))
    for _ in workers:
        queue.put_nowait(None)
    answers = [answer for many in await asyncio.gather(*workers) for answer in many]
    seconds = perf_counter() - started
    times = [answer.ms for answer in answers]
    accepted = sum(answer.status == 204 for answer in answers)
    return {
        "answered_per_s": len(answers) / seconds,
        "refused": len(answers) - accepted,
        "lost": accepted - (await _stored(bench.database_url) - before),
        "p50_ms": percentile(times, 0.5),
        "p99_ms": percentile(times, 0.99),
        "max_ms": max(times),
    }


async def _send(host: str, port: int, queue: asyncio.Queue[tuple[float, bytes] | None]) -> list[Answer]:
    answers = []
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while (task := await queue.get()) is not None:
            due, request = task
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if (length := _content_length(head)) > 0:
                await reader.readexactly(length)
            answers.append(Answer(status, 1000 * (perf_counter() - due)))
    finally:
        writer.close()
    return answers


def _content_length(head: bytes) -> int:
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(lines[0].split(b":")[1]) if lines else 0


async def _stored(database_url: str) -> int:
    connection = await connect(database_url, statement_timeout_s=30)
    try:
        count: int = await connection.fetchval("select count(*) from callback")
        return count
    finally:
        await connection.close()


async def _until_folded(database_url: str) -> float:
    """Return the seconds until the inbox is empty."""
    started = perf_counter()
    connection = await connect(database_url, statement_timeout_s=30)
    try:
        while await connection.fetchval("select exists (select from inbox)"):  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.02)
    finally:
        await connection.close()
    return perf_counter() - started


async def _measure_visibility(bench: Bench, service: ServiceProcess) -> dict[str, Any]:
    """Measure, one callback at a time, the response and the time from the response until the row is visible."""
    answers, delays = [], []
    queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    address = urlsplit(service.url)
    async with watch_calls(bench.database_url) as changes:
        for _ in range(IDLE_CALLS):
            sid = f"CA{token_hex(16)}"
            queue.put_nowait((perf_counter(), _request(bench, service, sid, 0)))
            queue.put_nowait(None)
            answers += await _send(str(address.hostname), address.port or 80, queue)
            answered = perf_counter()
            delays.append(max(0.0, 1000 * (await changes.until(sid) - answered)))
            await asyncio.sleep(0.05)
    times = [answer.ms for answer in answers]
    return {
        "callbacks": IDLE_CALLS,
        "p50_ms": median(times),
        "p99_ms": percentile(times, 0.99),
        "visible_ms_p50": median(delays),
        "visible_ms_p99": percentile(delays, 0.99),
    }


@asynccontextmanager
async def _saturated(service: ServiceProcess, callers: int) -> AsyncIterator[None]:
    """Keep the classifier busy with `callers` uploads at a time."""
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=600) as client:
        running = [asyncio.create_task(_upload_again(client)) for _ in range(callers)]
        try:
            yield
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _upload_again(client: httpx2.AsyncClient) -> None:
    audio = upload(2)
    while True:
        (await client.post("/predict", files={"audio": ("call.wav", audio, "audio/wav")})).raise_for_status()


async def _main() -> None:
    async with open_bench() as bench:
        print(json.dumps(await measure_intake(bench, sys.argv[1], {"engine": "torch"}), indent=1))


if __name__ == "__main__":
    asyncio.run(_main())
