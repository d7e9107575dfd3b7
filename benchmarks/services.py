"""Measures whole services: comparison with a naive service, time from callback to verdict, a long recording."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Any

import httpx2
import numpy as np
import psutil
import soundfile

from amd_service.database.connection import connect
from amd_service.database.opening import throwaway_database
from amd_service.detection.classifier.exported_engine import has_bf16
from amd_service.simulator.service_process import COMMAND, ServiceProcess, free_port, run_service, stop
from amd_service.simulator.twilio.loopback_server import serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaFile, MediaHost
from amd_service.simulator.twilio.resources import make_account
from amd_service.simulator.twilio.signed_callbacks import send_callback
from benchmarks.call_changes import CallChanges, watch_calls
from benchmarks.load import Burst, burst, percentile, upload

CACHE = Path(".cache/bench").resolve()
# Pairs of upload length in seconds and number of concurrent callers.
CELLS = ((2, 1), (2, 16), (5, 1), (5, 16), (30, 1))
# The service skips a second window of equal length. With an unreachable threshold, every call needs the second window.
WITHOUT_SECOND = {"long_window_ms": 2000}
WITH_SECOND = {"long_window_ms": 5000, "min_confidence": 0.999}
HOUR_S = 3600
CALLS = 20
STARTS = 5
# Pause between chunks. Without a pause, the socket buffers fill with megabytes that the service never reads.
PACE_S = 0.001


@dataclass(frozen=True, slots=True)
class Bench:
    """Runs the measured services with a database and the simulated Twilio."""

    database_url: str
    simulated_twilio: Any
    account: Any

    def run_service(self, *command: str, **settings: object) -> Any:
        """Run `amd-service COMMAND` with the database and the simulated Twilio of this object."""
        return run_service(
            (*COMMAND, *command),
            database_url=self.database_url,
            simulated_twilio=self.simulated_twilio,
            account=self.account,
            cache_dir=CACHE,
            **settings,
        )


@asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    account = make_account()
    async with (
        throwaway_database() as database_url,
        serve_simulated_twilio(MediaHost({account.account_sid: account.basic_auth})) as simulated_twilio,
    ):
        yield Bench(database_url, simulated_twilio, account)


async def read_database(bench: Bench) -> dict[str, str]:
    """Read the version of Postgres, and whether it waits for the disk."""
    connection = await connect(bench.database_url, statement_timeout_s=5)
    try:
        return {name: await connection.fetchval(f"show {name}") for name in ("server_version", "fsync")}
    finally:
        await connection.close()


async def compare_with_naive(bench: Bench, model: Path, *, rounds: int) -> dict[str, Any]:
    """Measure requests per second, latency, and latency of `/health`, by service, upload length and caller count."""
    # Without a precision, the service chooses bf16 if the processor has it, else fp32.
    precision = "bf16" if has_bf16() else "fp32"
    variants = {
        f"openvino {precision}": {"engine": "openvino", **WITHOUT_SECOND},
        "openvino int8": {"engine": "openvino", "precision": "int8", **WITHOUT_SECOND},
        "onnx int8": {"engine": "onnx", "precision": "int8", **WITHOUT_SECOND},
        f"openvino {precision}, second window": {"engine": "openvino", **WITH_SECOND},
    }
    async with AsyncExitStack() as stack:
        urls = {"naive": (await stack.enter_async_context(_run_naive(model)))}
        for name, settings in variants.items():
            child = await stack.enter_async_context(bench.run_service("serve", "--no-worker", model=model, **settings))
            await child.wait_until_ready()
            urls[name] = child.url
        for url in urls.values():
            await burst(url, upload(2), callers=1)
        return await _interleave(urls, rounds)


async def _interleave(urls: dict[str, str], rounds: int) -> dict[str, Any]:
    found: dict[tuple[str, int, int], list[Burst]] = {}
    for _ in range(rounds):
        for seconds, callers in CELLS:
            audio = upload(seconds)
            for name, url in urls.items():
                if name.endswith("second window") and callers > 1:
                    continue
                found.setdefault((name, seconds, callers), []).append(await burst(url, audio, callers=callers))
    return {"rows": [_row(*cell, bursts, found["naive", cell[1], cell[2]]) for cell, bursts in found.items()]}


def _row(name: str, seconds: int, callers: int, bursts: list[Burst], naive: list[Burst]) -> dict[str, Any]:
    health = [one for burst in bursts for one in burst.health_ms]
    return {
        "service": name,
        "upload_s": seconds,
        "callers": callers,
        "rounds": len(bursts),
        "requests_per_s_median": median(one.per_second for one in bursts),
        "latency_ms_median": median(one.median_ms for one in bursts),
        "latency_ms_min": min(min(one.latencies_ms) for one in bursts),
        "times_naive_requests_per_s": median(
            ours.per_second / theirs.per_second for ours, theirs in zip(bursts, naive, strict=True)
        ),
        "share_of_naive_latency_minima": min(min(one.latencies_ms) for one in bursts)
        / min(min(one.latencies_ms) for one in naive),
        "health_ms_p50": percentile(health, 0.5),
        "health_ms_p99": percentile(health, 0.99),
    }


@asynccontextmanager
async def _run_naive(model: Path) -> AsyncIterator[str]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.naive", str(model), str(port))
    try:
        await ServiceProcess(process, f"http://127.0.0.1:{port}").wait_until_alive()
        yield f"http://127.0.0.1:{port}"
    finally:
        await stop(process)


async def follow_callbacks(
    bench: Bench, model: str, settings: dict[str, object], *, calls: int = CALLS
) -> dict[str, Any]:
    """Measure the time from callback to verdict, one call at a time, and the part of this time outside inference.

    `posted_to_verdict_ms`: by this process's clock, from the POST of the callback until Postgres reported the committed
    verdict. Nothing polls meanwhile. `verdict_ms`: by the database's clock, from the transaction that queued the
    recording to the verdict. `stage_ms_mean`: mean milliseconds per stage.
    """
    audio = upload(5)
    async with (
        bench.run_service("serve", model=model, **settings) as service,
        watch_calls(bench.database_url) as changes,
    ):
        await service.wait_until_ready()
        await _await_verdict(bench, service, changes, MediaFile(audio))
        before = await _read_stage_sums(service)
        rows = [await _await_verdict(bench, service, changes, MediaFile(audio)) for _ in range(calls)]
        after = await _read_stage_sums(service)
    inference = [sum(run["inference_ms"] or 0 for run in row["verdicts"]) for row in rows]
    return {
        "model": Path(model).name,
        "calls": calls,
        "posted_to_verdict_ms_median": median(row["posted_to_verdict_ms"] for row in rows),
        "verdict_ms_median": median(row["verdict_ms"] for row in rows),
        "inference_ms_median": median(inference),
        "outside_inference_ms_median": median(
            row["posted_to_verdict_ms"] - ms for row, ms in zip(rows, inference, strict=True)
        ),
        "stage_ms_mean": {stage: 1000 * (after[stage] - before[stage]) / calls for stage in after},
    }


async def long_against_short(bench: Bench, model: str, settings: dict[str, object], *, rounds: int) -> dict[str, Any]:
    """Measure bytes sent and time to the verdict, for recordings of one hour and of 5 s in alternation."""
    found: dict[str, list[tuple[int, float]]] = {"5 s": [], "1 h": []}
    async with (
        bench.run_service("serve", model=model, **settings) as service,
        watch_calls(bench.database_url) as changes,
    ):
        await service.wait_until_ready()
        await _await_verdict(bench, service, changes, MediaFile(upload(5)))
        for _ in range(rounds):
            for name, media_file in (
                ("5 s", MediaFile(upload(5), pause_s=PACE_S)),
                ("1 h", MediaFile(_an_hour, pause_s=PACE_S)),
            ):
                row = await _await_verdict(bench, service, changes, media_file)
                found[name].append((bench.simulated_twilio.media.requests[-1].sent_bytes, row["verdict_ms"]))
    return {
        name: {"sent_bytes_median": median(b for b, _ in pairs), "verdict_ms_median": median(ms for _, ms in pairs)}
        for name, pairs in found.items()
    }


def _an_hour() -> Iterator[bytes]:
    """Yield a WAV file with one hour of 8 kHz μ-law audio, generated during sending."""
    head = upload(6)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8, np.float32), 8000, format="WAV", subtype="ULAW")
    header_bytes = len(buffer.getvalue()) - 8
    body = head[header_bytes:]
    header = bytearray(head[:header_bytes])
    header[-4:] = (HOUR_S * 8000).to_bytes(4, "little")
    yield bytes(header)
    for _ in range(HOUR_S * 8000 // len(body)):
        yield body


async def measure_start(bench: Bench) -> list[dict[str, Any]]:
    """Measure the start of a process with everything, and of one that only stores callbacks and serves rows."""
    with_model = await _start(bench, ("serve",), model="demo", engine="torch")
    return [with_model, await _start(bench, ("serve", "--no-worker", "--no-model"))]


async def _start(bench: Bench, command: tuple[str, ...], **settings: object) -> dict[str, Any]:
    """Measure median seconds from process start to the first response and to a ready classifier, and the memory."""
    first_responses, classifiers, memory = [], [], []
    has_model = "--no-model" not in command
    for _ in range(STARTS):
        started = perf_counter()
        async with bench.run_service(*command, **settings) as service:
            await service.wait_until_alive()
            first_responses.append(perf_counter() - started)
            if has_model:
                await service.wait_until_ready()
                classifiers.append(perf_counter() - started)
            memory.append(psutil.Process(service.process.pid).memory_info().rss / 1e6)
    return {
        "process": " ".join(command),
        "starts": STARTS,
        "first_response_s_median": median(first_responses),
        "classifier_s_median": median(classifiers) if has_model else None,
        "rss_mb_median": median(memory),
    }


async def small_model_rate(bench: Bench, *, rounds: int) -> dict[str, float]:
    """Measure windows per second through /predict with the shipped model on the reference engine."""
    async with bench.run_service("serve", "--no-worker", model="demo", engine="torch", **WITHOUT_SECOND) as service:
        await service.wait_until_ready()
        bursts = [await burst(service.url, upload(2), callers=8, each=10) for _ in range(rounds)]
    return {"windows_per_s_median": median(one.per_second for one in bursts)}


async def _await_verdict(
    bench: Bench, service: ServiceProcess, changes: CallChanges, media_file: MediaFile
) -> dict[str, Any]:
    """Send the callback for a new call with this recording, and return the call's final row."""
    call_sid, recording_sid = f"CA{token_hex(16)}", f"RE{token_hex(16)}"
    bench.simulated_twilio.media.files[recording_sid] = media_file
    form = [
        ("AccountSid", bench.account.account_sid),
        ("CallSid", call_sid),
        ("RecordingSid", recording_sid),
        ("RecordingStatus", "completed"),
        ("RecordingTrack", "inbound"),
    ]
    token = bench.account.auth_tokens[0].get_secret_value()
    async with httpx2.AsyncClient(trust_env=False) as client:
        await client.get(f"{service.url}/health")  # opens the connection, whose cost belongs to this process
        posted = perf_counter()
        await send_callback(client, service.url, "/twilio/recording", form, token=token)
        judged = await changes.until(call_sid, "judged", "failed")
        row: dict[str, Any] = (await client.get(f"{service.url}/api/calls/{call_sid}")).json()
    return row | {"posted_to_verdict_ms": 1000 * (judged - posted)}


async def _read_stage_sums(service: ServiceProcess) -> dict[str, float]:
    """Read the total seconds per stage since the start of the service, from /metrics."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{service.url}/metrics")).text
    prefix = 'amd_stage_seconds_sum{stage="'
    lines = [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
    return {line.split('"')[0]: float(line.split()[-1]) for line in lines}
