"""Slow media do not delay other recordings, and still end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count, repeat

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.simulator.twilio.media_host import MediaFile, ScriptedResponse
from tests.support.detectors import ready
from tests.support.models import StubEngine
from tests.support.receiver import HELLO, Receiver, receiving, sid
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

_numbers = count(1)


@pytest.fixture
async def detector() -> AsyncIterator[Detector]:
    async with ready(StubEngine()) as detector:
        yield detector


def silent() -> MediaFile:
    """A media that never sends a byte."""
    return MediaFile(b"", scripted=[ScriptedResponse(200, silent=True) for _ in range(99)])


def dripping(pause_s: float = 0.05) -> MediaFile:
    """A media that sends one byte per pause, without end."""
    return MediaFile(lambda: repeat(b"R"), pause_s=pause_s)


async def enqueue(receiver: Receiver, media_file: MediaFile) -> str:
    """Deliver the callback of a new recording with these media. Returns the CallSid."""
    number = next(_numbers)
    receiver.simulated_twilio.media.files[sid("RE", number)] = media_file
    sids = {"CallSid": sid("CA", number), "RecordingSid": sid("RE", number)}
    assert await receiver.recording("completed", **sids) == 204
    return sids["CallSid"]


async def states(receiver: Receiver, calls: list[str]) -> list[str]:
    return [(await receiver.call(call))["analysis_state"] for call in calls]


@asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[None]:
    """Run the worker's loop."""
    loop = asyncio.create_task(receiver.worker.run(finish_s=0.01, release_s=5))
    try:
        yield
    finally:
        receiver.worker.stop()
        await loop


async def until_judged(receiver: Receiver, calls: list[str]) -> None:
    """Wait until all calls are judged."""
    for call in calls:

        async def is_judged(call: str = call) -> bool:
            return await states(receiver, [call]) == ["judged"]

        await until(is_judged)


@pytest.mark.slow
async def test_ten_slow_recordings_of_a_hundred_do_not_delay_the_others(database: Database, detector: Detector) -> None:
    # With a limit of an hour, no slow download ends during the test.
    async with receiving(database, detector, media_first_timeout_s=3600, media_read_timeout_s=3600) as receiver:
        slow = [await enqueue(receiver, media) for media in [dripping() for _ in range(6)] + [silent()] * 4]
        healthy = [await enqueue(receiver, MediaFile(HELLO)) for _ in range(90)]
        async with running(receiver):
            await until_judged(receiver, healthy)
            assert await states(receiver, slow) == ["running"] * 10
        # The shutdown released the slow recordings without counting the attempts.
        assert await states(receiver, slow) == ["queued"] * 10
        rows = [(await receiver.call(call))["recordings"][0] for call in slow]
        assert [row["attempts"] for row in rows] == [0] * 10


async def test_more_slow_recordings_than_slots_delay_the_others_only_for_the_first_limit(
    database: Database, detector: Detector
) -> None:
    limits = {"worker_downloads": 4, "media_first_timeout_s": 0.1, "media_total_timeout_s": 3600}
    async with receiving(database, detector, **limits, media_read_timeout_s=3600) as receiver:
        slow = [await enqueue(receiver, media) for media in [silent(), dripping()] * 3]
        healthy = [await enqueue(receiver, MediaFile(HELLO)) for _ in range(10)]
        async with running(receiver):
            await until_judged(receiver, healthy)
            # The slow recordings come again, with longer limits.
            await until(lambda: len(receiver.media_requests) >= len(healthy) + 2 * len(slow))
            # Recordings that arrive later are not delayed either, because slow recordings hold at most half the slots.
            await until_judged(receiver, [await enqueue(receiver, MediaFile(HELLO)) for _ in range(3)])
            assert "judged" not in await states(receiver, slow)


async def test_a_download_that_is_slower_than_the_first_limit_ends_after_some_attempts(
    database: Database, detector: Detector
) -> None:
    def drip() -> list[bytes]:
        return [HELLO[at : at + 8000] for at in range(0, len(HELLO), 8000)]

    async with receiving(database, detector, media_first_timeout_s=0.05) as receiver:
        call = await enqueue(receiver, MediaFile(drip, pause_s=0.05))
        async with running(receiver):
            await until_judged(receiver, [call])
        assert len(receiver.media_requests) > 1
        assert (await receiver.call(call))["recordings"][0]["attempts"] == 1


async def test_only_a_limited_number_of_recordings_is_judged_at_once(database: Database, detector: Detector) -> None:
    engine = StubEngine()
    async with ready(engine) as held, receiving(database, held, worker_downloads=8) as receiver:
        engine.hold()
        calls = [await enqueue(receiver, MediaFile(HELLO)) for _ in range(20)]
        async with running(receiver):
            await until(lambda: len(receiver.media_requests) >= 8)
            await asyncio.to_thread(engine.entered.acquire)
            assert len(receiver.media_requests) == 8
            assert len(engine.calls) == 1
            engine.free.set()
            await until_judged(receiver, calls)
