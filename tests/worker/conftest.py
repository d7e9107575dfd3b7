"""A worker over a real Postgres whose judge is a function of the test's, and a Twilio that it may ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import httpx2
import pytest
from sqlalchemy import select

from amd_service.calls import intake
from amd_service.calls.tables import CallLog, Recording
from amd_service.database.pool import Database
from amd_service.domain import (
    AccountSid,
    CallSid,
    Job,
    Label,
    ModelIdentity,
    ModelRun,
    RawCallback,
    Reason,
    RecordingCallback,
    RecordingSid,
    Scores,
    Verdict,
)
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.server import SimulatedTwilio
from amd_service.telemetry import Metrics
from amd_service.worker.queue_loop import Worker
from tests.support.deliveries import ACCOUNT, KEEP
from tests.support.simulated_twilio import watched_simulated_twilio

IDENTITY = ModelIdentity("test", None, "0" * 64)
HUMAN = Verdict(
    label=Label.HUMAN,
    confidence=0.9,
    reason=Reason.CONFIDENT,
    onset_ms=100,
    runs=(ModelRun(Scores(0.9, 0.1), 0, 2000, 12.5, IDENTITY),),
    channel=1,
    channels_mixed=False,
    audio_sha256="1" * 64,
)

_numbers = count(1)


async def judge_human(_job: Job) -> Verdict:
    return HUMAN


def make_worker(
    database: Database,
    judge: Callable[[Job], Awaitable[Verdict]] = judge_human,
    *,
    ready: Callable[[], bool] = lambda: True,
    **changes: object,
) -> Worker:
    settings = Settings(_env_file=None, **{"poll_s": 0.05, **changes})  # type: ignore[arg-type]
    return Worker(database=database, judge=judge, ready=ready, settings=settings, metrics=Metrics())


async def enqueue_recording(database: Database) -> RecordingSid:
    """A new call with a completed recording, waiting in the queue."""
    number = next(_numbers)
    recording = RecordingCallback(
        AccountSid("AC" + "1" * 32), CallSid(f"CA{number:032x}"), RecordingSid(f"RE{number:032x}"), "completed"
    )
    raw = RawCallback("recording", (("RecordingSid", recording.recording_sid),))
    async with database.transaction() as session:
        assert await intake.store_recording(session, raw, recording, KEEP)
    return recording.recording_sid


async def read(database: Database, sid: RecordingSid) -> tuple[Recording, CallLog]:
    async with database.transaction() as session:
        recording = await session.get_one(Recording, sid)
        call = await session.scalar(select(CallLog).where(CallLog.call_sid == recording.call_sid))
    assert call is not None
    return recording, call


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something another task or process brings about; fails after a minute."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - the change may come from another process
            await asyncio.sleep(0.01)


async def is_in(database: Database, sid: RecordingSid, state: str) -> bool:
    return (await read(database, sid))[0].state == state


@pytest.fixture
def finish() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def twilio() -> AsyncIterator[SimulatedTwilio]:
    async with watched_simulated_twilio(
        Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})
    ) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        yield client
