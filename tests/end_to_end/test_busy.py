"""A busy classifier does not delay other requests."""

import asyncio
import time
from contextlib import suppress

import httpx2
import pytest

from amd_service.simulator.service_process import COMMAND
from tests.support.scene import HUMAN, Scene

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

CALLERS = 8
REQUESTS = 100
MAX_ROUNDS = 10
MAX_MS = 50


async def test_health_has_a_99th_percentile_under_50_ms_while_the_classifier_is_busy(scene: Scene) -> None:
    async with scene.run_service((*COMMAND, "serve", "--no-worker")) as service:
        await service.wait_until_ready()
        async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client:
            callers = [asyncio.create_task(predict_forever(client)) for _ in range(CALLERS)]
            # Other processes on the machine can delay a round, so a slow round is repeated.
            figures: list[float] = []
            while len(figures) < MAX_ROUNDS and min(figures, default=MAX_MS) >= MAX_MS:
                figures.append(await p99_ms(client))
            running = sum(caller.cancel() for caller in callers)
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*callers)
    assert running == CALLERS, "a caller ended before the measurement did"
    assert min(figures) < MAX_MS, f"p99 of GET /health in ms, by round: {figures}"


async def predict_forever(client: httpx2.AsyncClient) -> None:
    while True:
        answer = await client.post("/predict", content=HUMAN, headers={"content-type": "audio/wav"})
        assert answer.status_code == 200


async def p99_ms(client: httpx2.AsyncClient) -> float:
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        assert (await client.get("/health")).status_code == 200
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times)[round(REQUESTS * 0.99) - 1]
