"""Measures a service under load: concurrent uploads to /predict, and the latency of /health at the same time."""

import asyncio
import io
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import httpx2
import numpy as np
import soundfile

from benchmarks.clips import clip

RATE_HZ = 8000
PERIOD_S = 0.02


@dataclass(frozen=True, slots=True)
class Burst:
    """One measurement.

    `seconds`: duration of all requests together. `latencies_ms`: per upload. `health_ms`: latencies of `/health`.
    """

    requests: int
    seconds: float
    latencies_ms: list[float]
    health_ms: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def median_ms(self) -> float:
        return median(self.latencies_ms)


def upload(seconds: float, *, seed: int = 3) -> bytes:
    """Return a WAV file (8 kHz μ-law, as in telephony) of speech-like sound without a pause at the start."""
    buffer = io.BytesIO()
    samples = np.concatenate([clip(seed + part, 2.0)[::2] for part in range(int(seconds // 2) + 1)])
    soundfile.write(buffer, samples[: round(seconds * RATE_HZ)], RATE_HZ, format="WAV", subtype="ULAW")
    return buffer.getvalue()


async def burst(url: str, audio: bytes, *, callers: int, each: int = 1) -> Burst:
    """Upload `audio` from concurrent `callers`; each caller sends `each` requests in sequence."""
    limits = httpx2.Limits(max_connections=callers + 1)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=600, limits=limits) as client:
        watching = asyncio.create_task(_watch_health(client))
        started = perf_counter()
        latencies = await asyncio.gather(*[_call(client, audio, each) for _ in range(callers)])
        seconds = perf_counter() - started
        watching.cancel()
        found = (await asyncio.gather(watching, return_exceptions=True))[0]
        health = found if isinstance(found, list) else []
    return Burst(callers * each, seconds, [one for many in latencies for one in many], health)


async def _call(client: httpx2.AsyncClient, audio: bytes, times: int) -> list[float]:
    latencies = []
    for _ in range(times):
        started = perf_counter()
        response = await client.post("/predict", files={"audio": ("call.wav", audio, "audio/wav")})
        response.raise_for_status()
        latencies.append((perf_counter() - started) * 1000)
    return latencies


async def _watch_health(client: httpx2.AsyncClient) -> list[float]:
    """Measure the latencies of `/health` in ms, with a request every PERIOD_S seconds.

    Each latency counts from the time when its request was due, so a stall counts for every request that it delays.
    """
    times: list[float] = []
    due = perf_counter()
    try:
        while True:
            (await client.get("/health")).raise_for_status()
            now = perf_counter()
            while due <= now:
                times.append((now - due) * 1000)
                due += PERIOD_S
            await asyncio.sleep(due - now)
    except asyncio.CancelledError:
        while due <= perf_counter():  # add the requests that were due and got no response
            times.append((perf_counter() - due) * 1000)
            due += PERIOD_S
        return times


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie. Returns NaN for an empty list."""
    return sorted(values)[min(len(values) - 1, round(len(values) * share))] if values else float("nan")
