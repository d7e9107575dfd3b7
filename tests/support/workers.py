"""A worker with a real Postgres and a judge function from the test."""

from collections.abc import Awaitable, Callable
from itertools import count

from sqlalchemy import select

from amd_service.calls import intake
from amd_service.calls.tables import CallLog, Recording
from amd_service.database.pool import Database
from amd_service.domain import (
    AccountSid,
    CallSid,
    Job,
    RawCallback,
    RecordingCallback,
    RecordingSid,
    Verdict,
)
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.runtime.workers import build_worker
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from amd_service.worker.queue_loop import Worker
from tests.support.deliveries import KEEP
from tests.support.verdicts import HUMAN

_numbers = count(1)


async def judge_human(_job: Job) -> Verdict:
    return HUMAN


def make_worker(
    database: Database,
    judge: Callable[[Job], Awaitable[Verdict]] = judge_human,
    *,
    is_ready: Callable[[], bool] = lambda: True,
    make_queue: Callable[..., RecordingQueue] = RecordingQueue,
    metrics: Metrics | None = None,
    **changes: object,
) -> Worker[Job]:
    settings = Settings(_env_file=None, **{"poll_s": 0.05, **changes})  # type: ignore[arg-type]
    return build_worker(settings, database, judge, metrics or Metrics(), is_ready=is_ready, make_queue=make_queue)


async def enqueue_recording(database: Database) -> RecordingSid:
    """Store a new call with a completed recording, which is then queued. Returns the RecordingSid."""
    number = next(_numbers)
    recording = RecordingCallback(
        AccountSid("AC" + "1" * 32), CallSid(f"CA{number:032x}"), RecordingSid(f"RE{number:032x}"), "completed"
    )
    raw = RawCallback("recording", (("RecordingSid", recording.recording_sid),))
    async with database.transaction() as session:
        assert await intake.store(session, raw, recording, KEEP)
    return recording.recording_sid


async def read(database: Database, sid: RecordingSid) -> tuple[Recording, CallLog]:
    async with database.transaction() as session:
        recording = await session.get_one(Recording, sid)
        call = await session.scalar(select(CallLog).where(CallLog.call_sid == recording.call_sid))
    assert call is not None
    return recording, call


async def is_in(database: Database, sid: RecordingSid, state: str) -> bool:
    return (await read(database, sid))[0].state == state
