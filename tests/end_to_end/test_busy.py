"""A classifier that is busy keeps nobody waiting at the door."""

import asyncio
import time
from contextlib import suppress

import httpx2
import pytest

from amd_service.simulator.service_process import COMMAND
from tests.support.scene import HUMAN, Scene

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

CALLERS = 8
LOOKS = 100
MOST_ROUNDS = 10
MOST_MS = 50


async def test_health_answers_under_50_ms_at_the_99th_percentile_while_the_classifier_is_busy(scene: Scene) -> None:
    async with scene.run_service((*COMMAND, "serve", "--no-worker")) as service:
        await service.wait_until_ready()
        async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client:
            callers = [asyncio.create_task(predict_for_ever(client)) for _ in range(CALLERS)]
            # Another process may have the processor for a moment: the best of the rounds is the service's own.
            figures: list[float] = []
            while len(figures) < MOST_ROUNDS and min(figures, default=MOST_MS) >= MOST_MS:
                figures.append(await p99_ms(client))
            judged = sum(caller.cancel() for caller in callers)
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*callers)
    assert judged == CALLERS, "a caller gave up before the measurement was over"
    assert min(figures) < MOST_MS, f"p99 of GET /health in ms, by round: {figures}"


async def predict_for_ever(client: httpx2.AsyncClient) -> None:
    while True:
        answer = await client.post("/predict", content=HUMAN, headers={"content-type": "audio/wav"})
        assert answer.status_code == 200


async def p99_ms(client: httpx2.AsyncClient) -> float:
    times = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        assert (await client.get("/health")).status_code == 200
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times)[round(LOOKS * 0.99) - 1]
